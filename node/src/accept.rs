//! Accepts connections and starts a task for each.

use crate::connection::Connection;
use crate::execute::session::Session;
use crate::member::{Connected, Mailbox, Member};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// How long accepting pauses when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

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

fn admit(member: &Rc<Member>, mut stream: TcpStream) {
    let full = member.with(|state| {
        let stats = &mut state.engine.stats;
        stats.connections_received += 1;
        let full = state.connections.len() >= state.engine.config.maxclients as usize;
        stats.rejected_connections += u64::from(full);
        full
    });
    if full {
        member.spawn(async move |_| {
            // The client is being turned away; whether it hears why is up to it.
            let _ = stream.write_all(TOO_MANY).await;
        });
        return;
    }
    match open(member, &stream) {
        Ok(session) => {
            let mailbox = Rc::new(Mailbox::default());
            let connection =
                Connection::new(Rc::clone(member), stream, session, Rc::clone(&mailbox));
            let task = member.spawn(async move |_| connection.run().await);
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
    member.with(|state| {
        let engine = &mut state.engine;
        let keepalive_seconds = u64::from(engine.config.tcp_keepalive_seconds);
        if keepalive_seconds > 0 {
            let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(keepalive_seconds));
            SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
        }
        let authenticated = !engine.requires_password();
        let system = engine.system_password.is_none();
        Ok(engine.sessions.open(|id| {
            let mut session = Session::new(id, peer.to_string(), local.to_string(), now_ms);
            session.authenticated = authenticated;
            session.system = authenticated && system;
            session
        }))
    })
}
