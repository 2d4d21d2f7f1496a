//! Accepts connections and starts a task for each.

use crate::connection::Connection;
use crate::execute::session::Session;
use crate::member::{Connected, Mailbox, Member};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
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
    loop {
        match listener.accept().await {
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
fn refusal(full: bool, protected: bool, peer: Option<IpAddr>) -> Option<&'static str> {
    match (full, protected && !peer.is_some_and(is_loopback)) {
        (true, _) => Some(TOO_MANY),
        (false, true) => Some(PROTECTED),
        (false, false) => None,
    }
}

fn admit(member: &Rc<Member>, mut stream: TcpStream) {
    let peer = stream.peer_addr().ok().map(|peer| peer.ip());
    let refused = member.with(|state| {
        let engine = &mut state.engine;
        engine.stats.connections_received += 1;
        let full = state.connections.len() >= engine.config.maxclients as usize;
        let open = engine.acl.default_user().nopass;
        let refused = refusal(full, engine.config.protected_mode && open, peer);
        engine.stats.rejected_connections += u64::from(refused.is_some());
        refused
    });
    if let Some(text) = refused {
        member.spawn(async move |_| {
            // The client is being turned away; whether it hears why is up to it.
            let _ = stream.write_all(text.as_bytes()).await;
        });
        return;
    }
    match open(member, &stream) {
        Ok(session) => {
            let mailbox = Rc::new(Mailbox::default());
            let connection =
                Connection::new(Rc::clone(member), stream, session, Rc::clone(&mailbox));
            let task = member.spawn(|_| connection.run());
            let connected = Connected { task, mailbox };
            member.with(|state| state.connections.insert(session, connected));
        }
        // The client has gone already.
        Err(error) => tracing::debug!("preparing a connection: {error}"),
    }
}

fn open(member: &Member, stream: &TcpStream) -> io::Result<crate::execute::session::SessionId> {
    stream.set_nodelay(true)?;
    let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
    let now_ms = member.clock.now_ms();
    let descriptor = stream.as_raw_fd();
    member.with(|state| {
        let engine = &mut state.engine;
        let keepalive_seconds = u64::from(engine.config.tcp_keepalive_seconds);
        if keepalive_seconds > 0 {
            let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(keepalive_seconds));
            SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
        }
        let authenticated = !engine.requires_password();
        let user = engine.acl.default_user();
        let system = engine.system_password.is_none();
        Ok(engine.sessions.open(|id| {
            let mut session = Session::new(id, peer.to_string(), local.to_string(), now_ms);
            session.user = user;
            session.descriptor = descriptor;
            session.authenticated = authenticated;
            session.system = authenticated && system;
            session
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_mode_lets_in_who_comes_from_this_machine() {
        let check = |peer: &str, expect: Option<&str>| {
            let peer: IpAddr = peer.parse().unwrap();
            assert_eq!(refusal(false, true, Some(peer)), expect, "{peer}");
            assert_eq!(refusal(false, false, Some(peer)), None, "{peer}");
            assert_eq!(refusal(true, true, Some(peer)), Some(TOO_MANY), "{peer}");
        };
        check("127.0.0.1", None);
        check("127.9.9.9", None);
        check("::1", None);
        check("::ffff:127.0.0.1", None);
        check("10.0.0.7", Some(PROTECTED));
        check("fd00::7", Some(PROTECTED));
        check("::ffff:10.0.0.7", Some(PROTECTED));
        assert_eq!(refusal(false, true, None), Some(PROTECTED));
    }
}
