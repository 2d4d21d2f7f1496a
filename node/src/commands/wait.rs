//! WAIT and WAITAOF.

use super::Group::Generic;
use super::flag::BLOCKING;
use super::{Command, answers, command};
use crate::execute::context::{Failure, integer};
use crate::execute::waits::Wait;
use crate::execute::{Context, Outcome};
use protocol::resp::parse_i64;
use protocol::status::Role;

pub const COMMANDS: &[Command] = &[
    command(
        "wait",
        3,
        Generic,
        "3.0.0",
        "Waits until replicas hold this connection's writes.",
        answers!(wait),
    )
    .tips(&["request_policy:all_shards", "response_policy:agg_min"])
    .syntax("numreplicas timeout")
    .flags(BLOCKING)
    .category("connection"),
    command(
        "waitaof",
        4,
        Generic,
        "7.2.0",
        "Waits until disks of this member and of replicas hold this connection's writes.",
        answers!(waitaof),
    )
    .tips(&["request_policy:all_shards", "response_policy:agg_min"])
    .syntax("numlocal numreplicas timeout")
    .flags(BLOCKING)
    .category("connection"),
];

fn wait(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if context.engine.view.role == Role::Replica {
        return Err(
            "ERR WAIT cannot be used with replica instances. Please also note that since \
                    Redis 4.0 if a replica is configured to be writable (which is not the default) \
                    writes to replicas are just local and are not propagated."
                .into(),
        );
    }
    let replicas = integer(arguments[1])?;
    let wait = Wait {
        local: None,
        replicas: u64::try_from(replicas).unwrap_or(0),
    };
    let deadline_ms = deadline(context, arguments[2])?;
    context.outcome = Outcome::Wait { wait, deadline_ms };
    Ok(())
}

fn waitaof(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let local = integer(arguments[1])?;
    let local = u64::try_from(local).ok().filter(|local| *local <= 1);
    let local = local.ok_or("ERR value is out of range, value must between 0 and 1")?;
    let replicas = parse_i64(arguments[2]).and_then(|replicas| u64::try_from(replicas).ok());
    let replicas = replicas.ok_or("ERR value is out of range, must be positive")?;
    let deadline_ms = deadline(context, arguments[3])?;
    if context.engine.view.role == Role::Replica {
        return Err(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
             replicas are just local and are not propagated."
                .into(),
        );
    }
    if local > 0 && context.engine.view.facts.dir.is_none() {
        return Err(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.".into(),
        );
    }
    let wait = Wait {
        local: Some(local),
        replicas,
    };
    context.outcome = Outcome::Wait { wait, deadline_ms };
    Ok(())
}

/// When a time in milliseconds is up; 0 means never.
fn deadline(context: &Context, timeout: &[u8]) -> Result<Option<u64>, Failure> {
    let timeout = integer(timeout).map_err(|_| "ERR timeout is not an integer or out of range")?;
    let timeout_ms = u64::try_from(timeout).map_err(|_| "ERR timeout is negative")?;
    let at = context.now_ms.saturating_add(timeout_ms);
    if at > i64::MAX as u64 {
        return Err("ERR timeout is out of range".into());
    }
    Ok((timeout_ms > 0).then_some(at))
}
