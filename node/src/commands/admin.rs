//! The `KV.*` commands; the member answers them, see `protocol::admin`.

use super::Group::Server;
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_MULTI, NO_SCRIPT, STALE, SYSTEM};
use super::{Command, command};
use crate::execute::{Context, Outcome};
use protocol::admin::AdminRequest;

const USUAL: u32 = ADMIN | DANGEROUS | LOADING | NO_MULTI | NO_SCRIPT | STALE | SYSTEM;

pub const COMMANDS: &[Command] = &[
    command(
        "kv.status",
        -1,
        Server,
        "7.2.0",
        "Describes this member.",
        admin,
    )
    .flags(USUAL),
    command(
        "kv.topology",
        -2,
        Server,
        "7.2.0",
        "Reads or replaces the topology.",
        admin,
    )
    .flags(USUAL),
    command(
        "kv.promise",
        2,
        Server,
        "7.2.0",
        "Promises an epoch.",
        admin,
    )
    .flags(USUAL),
    command(
        "kv.handover",
        3,
        Server,
        "7.2.0",
        "Prepares another member to take over.",
        admin,
    )
    .flags(USUAL),
    command(
        "kv.sync",
        2,
        Server,
        "7.2.0",
        "Turns the connection into a log stream.",
        admin,
    )
    .flags(USUAL),
    command(
        "kv.import",
        -3,
        Server,
        "7.2.0",
        "Takes slots over from another shard.",
        admin,
    )
    .flags(USUAL),
    command(
        "kv.publish",
        4,
        Server,
        "7.2.0",
        "Tells the subscribers here of a message that another member got.",
        super::pubsub::publish_forwarded,
    )
    .syntax("(kind=CHANNEL|SHARD) channel message")
    .flags(USUAL),
];

fn admin(context: &mut Context, arguments: &[&[u8]]) {
    match AdminRequest::parse(arguments) {
        Ok(request) => context.outcome = Outcome::Admin(Box::new(request)),
        Err(error) => context.reply.error(&error.to_string()),
    }
}
