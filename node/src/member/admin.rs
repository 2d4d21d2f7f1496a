//! Answers the `KV.*` commands; see `protocol::admin`.

use super::Member;
use super::roles::Refused;
use crate::execute::session::SessionId;
use protocol::admin::AdminRequest;
use protocol::resp::{Protocol, ReplyWriter};
use protocol::status::Role;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::timeout;

/// Longest handover: clients' writes wait for it.
const HANDOVER_MS_MAX: u64 = 30_000;

impl Member {
    /// Performs an admin command of a session and appends its reply.
    pub async fn answer(&self, session: SessionId, request: AdminRequest, out: &mut Vec<u8>) {
        match request {
            AdminRequest::Status { heartbeat } => {
                if heartbeat {
                    self.hear_operator();
                }
                self.reply_status(out);
            }
            AdminRequest::TopologyGet => self.reply_topology(out),
            AdminRequest::TopologySet(topology) => reply(out, self.adopt(*topology).await),
            AdminRequest::Promise { epoch } => match self.promise(epoch).await {
                Ok(()) => self.reply_status(out),
                Err(refused) => reply(out, Err::<(), Refused>(refused)),
            },
            AdminRequest::Handover { member, timeout_ms } => {
                reply(
                    out,
                    self.hand_over(&member, timeout_ms.min(HANDOVER_MS_MAX))
                        .await,
                );
            }
            AdminRequest::Sync(_) => writer(out).error("ERR KV.SYNC is answered by its stream"),
            AdminRequest::ImportBegin { id, slots } => {
                reply(out, self.import_begin(session, &id, &slots).await);
            }
            AdminRequest::ImportApply { id, effects } => {
                reply(out, self.import_apply(session, &id, &effects));
            }
            AdminRequest::ImportOwn { id } => reply(out, self.import_own(session, &id).await),
            AdminRequest::ImportAbort { id } => reply(out, self.import_abort(&id).await),
            AdminRequest::ImportStatus { id } => match self.import_status(&id).await {
                Ok(state) => writer(out).bulk(state.as_bytes()),
                Err(refused) => reply(out, Err::<(), _>(refused)),
            },
        }
    }

    fn hear_operator(&self) {
        let now_ms = self.clock.monotonic_ms();
        self.with(|state| {
            state.quorum.operator_heard(now_ms);
            state.advance();
        });
    }

    fn reply_status(&self, out: &mut Vec<u8>) {
        let status = self.with(|state| state.status());
        // Plain structs with string keys: serialising cannot fail.
        writer(out).bulk(&serde_json::to_vec(&status).unwrap_or_default());
    }

    fn reply_topology(&self, out: &mut Vec<u8>) {
        match self.with(|state| state.topology.clone()) {
            None => writer(out).null(),
            Some(topology) => {
                writer(out).bulk(&serde_json::to_vec(&*topology).unwrap_or_default());
            }
        }
    }

    /// Stops writes and waits until the other member holds everything. Writes stay paused until a
    /// new epoch comes or the time is out.
    async fn hand_over(&self, to: &str, timeout_ms: u64) -> Result<(), String> {
        let until_ms = self.clock.monotonic_ms() + timeout_ms;
        let begun = self.with(|state| {
            let known = state
                .shard()
                .is_some_and(|shard| shard.member(to).is_some());
            if state.role() != Role::Primary || !known {
                return Err(format!("ERR cannot hand over to {to}: not its primary"));
            }
            state.begin_handover(until_ms);
            Ok((state.log.position().offset, state.reign))
        });
        let (end, reign) = begun?;
        self.signals.flush.notify_one();
        let reached = self.until(&self.signals.committed, |state| {
            if state.reign != reign {
                return Some(Err("ERR the epoch ended during the handover".to_owned()));
            }
            (state.quorum.offset_of(to) >= end).then_some(Ok(()))
        });
        let waited = timeout(Duration::from_millis(timeout_ms), reached).await;
        waited.unwrap_or_else(|_| {
            self.with(super::State::end_handover);
            Err(format!("ERR {to} did not catch up within {timeout_ms} ms"))
        })
    }
}

fn writer(out: &mut Vec<u8>) -> ReplyWriter<'_> {
    ReplyWriter::new(out, Protocol::Resp2)
}

fn reply<E: Display>(out: &mut Vec<u8>, result: Result<(), E>) {
    match result {
        Ok(()) => writer(out).ok(),
        Err(error) => writer(out).error(&error.to_string()),
    }
}
