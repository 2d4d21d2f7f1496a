//! Messages to the subscribers of other members: one connection to each, opened when there is
//! something to say.
//!
//! As in Redis, publishing promises nothing: what a member cannot be told at once, or what it does
//! not take, is dropped.

use super::{Mailbox, Member, Settled, State};
use crate::execute::pubsub::Published;
use protocol::client::{Client, ClientError};
use protocol::resp::write_request;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Most bytes that wait for one member.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long connecting, and sending what waits, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// What is to be told to one member.
#[derive(Debug, Default)]
pub struct Peer {
    mailbox: Rc<Mailbox>,
    bytes: usize,
    /// Its task runs.
    served: bool,
}

impl State {
    /// Takes what was published here into the mailboxes of the members that are to hear of it.
    pub(super) fn forward_published(&mut self, needed: u64) {
        let published = std::mem::take(&mut self.engine.pubsub.published);
        let Some(topology) = self.topology.clone() else {
            return;
        };
        let (mut all, mut classic) = (Vec::new(), Vec::new());
        for message in &published {
            write(&mut all, message);
            if !message.sharded {
                write(&mut classic, message);
            }
        }
        for shard in &topology.shards {
            // Sharded messages are for the shard of their slot alone.
            let mine = shard.member(&self.name).is_some();
            let bytes = if mine { &all } else { &classic };
            let others = shard.members.iter().filter(|m| m.name != self.name);
            for member in others.filter(|_| !bytes.is_empty()) {
                let peer = self.peers.entry(member.name.clone()).or_default();
                if peer.bytes + bytes.len() <= WAITING_BYTES_MAX {
                    peer.bytes += bytes.len();
                    self.output_bytes += bytes.len() as u64;
                    peer.mailbox.post(bytes.clone(), needed, self.reign);
                }
            }
        }
        self.signals.published.notify_one();
    }

    fn address_of(&self, name: &str) -> Option<String> {
        let topology = self.topology.as_ref()?;
        let member = topology.shard_of(name)?.member(name)?;
        Some(member.address.clone())
    }
}

fn write(out: &mut Vec<u8>, message: &Published) {
    let kind: &[u8] = if message.sharded {
        b"SHARD"
    } else {
        b"CHANNEL"
    };
    write_request(
        out,
        &[b"KV.PUBLISH", kind, &message.channel, &message.message],
    );
}

/// Starts a task for each member that something is to be told to.
pub async fn run(member: Rc<Member>) {
    loop {
        member.signals.published.notified().await;
        let idle: Vec<String> = member.with(|state| {
            let idle = state.peers.iter_mut().filter(|(_, peer)| !peer.served);
            idle.map(|(name, peer)| {
                peer.served = true;
                name.clone()
            })
            .collect()
        });
        for name in idle {
            member.spawn(|member| serve(member, name));
        }
    }
}

/// Tells one member, until it is no member any more.
async fn serve(member: Rc<Member>, name: String) {
    let mut link: Option<(String, TcpStream)> = None;
    loop {
        let mailbox = member.with(|state| state.peers.get(&name).map(|p| Rc::clone(&p.mailbox)));
        let Some(mailbox) = mailbox else { return };
        poll_fn(|context| mailbox.poll_stirred(context)).await;
        let mut bytes = Vec::new();
        while let Some(mut letter) = mailbox.take() {
            let count = letter.bytes.len();
            member.with(|state| {
                state.output_bytes -= count as u64;
                if let Some(peer) = state.peers.get_mut(&name) {
                    peer.bytes -= count;
                }
            });
            if member.settled(letter.needed, letter.reign).await == Settled::Kept {
                bytes.append(&mut letter.bytes);
            }
        }
        let Some(address) = member.with(|state| state.address_of(&name)) else {
            member.with(|state| state.peers.remove(&name));
            return;
        };
        if bytes.is_empty() {
            continue;
        }
        let told = tell(&member, &mut link, &address, &bytes).await;
        if let Err(error) = told {
            link = None;
            tracing::debug!(member = name, "a message is lost: {error}");
        }
    }
}

async fn tell(
    member: &Member,
    link: &mut Option<(String, TcpStream)>,
    address: &str,
    bytes: &[u8],
) -> Result<(), ClientError> {
    let usable = link
        .as_ref()
        .is_some_and(|(to, stream)| to == address && is_open(stream));
    if !usable {
        let stream = connect(member, address).await?;
        *link = Some((address.to_owned(), stream));
    }
    let Some((_, stream)) = link else {
        return Ok(());
    };
    let sent = timeout(SEND_TIMEOUT, stream.write_all(bytes)).await;
    let failed = |source| ClientError::Io {
        address: address.to_owned(),
        source,
    };
    let timed_out = |_| failed(io::ErrorKind::TimedOut.into());
    sent.map_err(timed_out)?.map_err(failed)
}

/// A connection on which the other side says nothing.
async fn connect(member: &Member, address: &str) -> Result<TcpStream, ClientError> {
    let password = member.with(|state| state.engine.system_password.clone());
    let source = Some(member.options.bind);
    let client = Client::connect_from(source, address, CONNECT_TIMEOUT).await?;
    let mut client = client.as_system(password.as_deref()).await?;
    let mut out = Vec::new();
    write_request(&mut out, &[b"CLIENT", b"REPLY", b"OFF"]);
    client.send(&out).await?;
    Ok(client.into_parts().0)
}

/// Whether the other side has not closed.
fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0; 64]);
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
