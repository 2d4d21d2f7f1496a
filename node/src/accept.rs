//! Accepts connections and starts a task for each.

use crate::connection::Connection;
use crate::execute::Engine;
use crate::execute::session::{Session, SessionId};
use crate::member::{Connected, Line, Mailbox, Member, Newcomer, Own, Socket};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// How long accepting pauses when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const TOO_MANY: &str = "-ERR max number of clients reached\r\n";

/// To clients from other machines while everybody may do everything.
const PROTECTED: &str = "-DENIED Redis is running in protected mode because protected mode is \
    enabled and no password is set for the default user. In this mode connections are only \
    accepted from the loopback interface. If you want to connect from external computers to Redis \
    you may adopt one of the following solutions: 1) Just disable protected mode sending the \
    command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from \
    the same host the server is running, however MAKE SURE Redis is not publicly accessible from \
    internet if you do so. 2) Start the server with '--config protected-mode=no'. 3) Set up a \
    password for the default user. NOTE: You only need to do one of the above things in order for \
    the server to start accepting connections from the outside.\r\n";

/// Whether an address is this machine's own, in either notation.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Accepts until the task is dropped.
pub async fn accept(member: Rc<Member>, listener: TcpListener) {
    let listener = Rc::new(listener);
    member.lines.listen(&listener);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = member.lines.arrived.notified() => {
                let newcomers = member.lines.take_newcomers();
                for newcomer in newcomers {
                    take_over(&member, newcomer);
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => admit(&member, stream),
            Err(error) => {
                tracing::warn!("accepting a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Why a client is turned away. Where everybody may do everything, only clients of this machine are
/// let in.
fn refusal(full: bool, protected: bool, peer: IpAddr) -> Option<&'static str> {
    match (full, protected && !is_loopback(peer)) {
        (true, _) => Some(TOO_MANY),
        (false, true) => Some(PROTECTED),
        (false, false) => None,
    }
}

fn admit(member: &Rc<Member>, mut stream: TcpStream) {
    let addresses = (stream.peer_addr(), stream.local_addr());
    // Otherwise the client has gone already.
    let (Ok(peer), Ok(local)) = addresses else {
        return;
    };
    let refused = member.with(|state| {
        let open = state.connections.len();
        turn_away(&mut state.engine, open, peer.ip())
    });
    if let Some(text) = refused {
        member.spawn(async move |_| {
            // The client is being turned away; whether it hears why is up to it.
            let _ = stream.write_all(text.as_bytes()).await;
        });
        return;
    }
    let now_ms = member.clock.now_ms();
    let opened = member.with(|state| {
        prepare(&state.engine, &(&stream).into())?;
        let stream = stream.into_std()?;
        let session = open_session(&mut state.engine, (peer, local), stream.as_raw_fd(), now_ms);
        Ok::<_, io::Error>((stream, session))
    });
    match opened {
        Ok((stream, session)) => start(member, stream, session, Vec::new()),
        Err(error) => tracing::debug!("preparing a connection: {error}"),
    }
}

/// Serves a connection that was accepted while a script ran.
fn take_over(member: &Rc<Member>, newcomer: Newcomer) {
    let Newcomer {
        stream,
        session,
        unsent,
        ended,
    } = newcomer;
    if ended {
        member.with(|state| state.engine.close_session(session));
    } else {
        start(member, stream, session, unsent);
    }
}

/// Serves a connection from here on.
fn start(member: &Rc<Member>, stream: StdStream, session: SessionId, unsent: Vec<u8>) {
    let mailbox = Rc::new(Mailbox::default());
    if !unsent.is_empty() {
        mailbox.stir();
    }
    // An I/O thread serves it, when there are such.
    let socket = match member.lines.io_threads.get() {
        None => Socket::Own(Own::new(stream)),
        Some(threads) => Socket::Served(Box::new(threads.serve(stream, session))),
    };
    let line = Rc::new(Line::new(session, socket, unsent, Rc::clone(&mailbox)));
    if let Err(error) = member.lines.insert(&line) {
        tracing::warn!("watching a connection: {error}");
        member.with(|state| state.engine.close_session(session));
        return;
    }
    let connection = Connection::new(Rc::clone(member), line);
    let task = member.spawn(|_| connection.run());
    let connected = Connected { task, mailbox };
    member.with(|state| state.connections.insert(session, connected));
}

/// Why a connection is turned away, while so many are open; that is counted.
pub fn turn_away(engine: &mut Engine, open: usize, peer: IpAddr) -> Option<&'static str> {
    engine.stats.connections_received += 1;
    let full = open >= engine.config.maxclients as usize;
    let protected = engine.config.protected_mode && engine.acl.default_user().nopass;
    let refused = refusal(full, protected, peer);
    engine.stats.rejected_connections += u64::from(refused.is_some());
    refused
}

/// Sets what every connection's socket has.
pub fn prepare(engine: &Engine, socket: &SockRef) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive_seconds = u64::from(engine.config.tcp_keepalive_seconds);
    if keepalive_seconds > 0 {
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(keepalive_seconds));
        socket.set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

pub fn open_session(
    engine: &mut Engine,
    (peer, local): (SocketAddr, SocketAddr),
    descriptor: RawFd,
    now_ms: u64,
) -> SessionId {
    let authenticated = !engine.requires_password();
    let user = engine.acl.default_user();
    let system = engine.system_password.is_none();
    engine.sessions.open(|id| {
        let mut session = Session::new(id, peer.to_string(), local.to_string(), now_ms);
        session.user = user;
        session.descriptor = descriptor;
        session.authenticated = authenticated;
        session.system = authenticated && system;
        session
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_mode_lets_in_who_comes_from_this_machine() {
        let check = |peer: &str, expect: Option<&str>| {
            let peer: IpAddr = peer.parse().unwrap();
            assert_eq!(refusal(false, true, peer), expect, "{peer}");
            assert_eq!(refusal(false, false, peer), None, "{peer}");
            assert_eq!(refusal(true, true, peer), Some(TOO_MANY), "{peer}");
        };
        check("127.0.0.1", None);
        check("127.9.9.9", None);
        check("::1", None);
        check("::ffff:127.0.0.1", None);
        check("10.0.0.7", Some(PROTECTED));
        check("fd00::7", Some(PROTECTED));
        check("::ffff:10.0.0.7", Some(PROTECTED));
    }
}
