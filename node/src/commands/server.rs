//! The server itself: ROLE, SHUTDOWN, TIME, and what a cluster's clients say to replicas.

use super::Group::{Cluster, Server};
use super::flag::{ADMIN, ALLOW_BUSY, DANGEROUS, FAST, LOADING, NO_MULTI, NO_SCRIPT, STALE};
use super::info::mirrors;
use super::{Command, command};
use crate::execute::context::SYNTAX;
use crate::execute::mirror::Stage;
use crate::execute::{Context, Outcome};
use protocol::status::Role;

pub const COMMANDS: &[Command] = &[
    command(
        "role",
        1,
        Server,
        "2.8.12",
        "Returns the replication role.",
        role,
    )
    .flags(NO_SCRIPT | LOADING | STALE | FAST | DANGEROUS)
    .category("admin"),
    command(
        "time",
        1,
        Server,
        "2.6.0",
        "Returns the server's time.",
        |context, _| {
            let now_ms = context.now_ms;
            context.reply.array(2);
            context.reply.bulk((now_ms / 1000).to_string().as_bytes());
            context
                .reply
                .bulk((now_ms % 1000 * 1000).to_string().as_bytes());
        },
    )
    .tips(&["nondeterministic_output"])
    .flags(LOADING | STALE | FAST),
    command(
        "monitor",
        1,
        Server,
        "1.0.0",
        "Shows every command that is run.",
        |context, _| {
            if context.engine.in_transaction {
                let error = "ERR MONITOR isn't allowed for DENY BLOCKING client";
                return context.reply.error(error);
            }
            context.monitor();
            context.reply.ok();
        },
    )
    .flags(ADMIN | DANGEROUS | NO_SCRIPT | LOADING | STALE),
    command(
        "shutdown",
        -1,
        Server,
        "1.0.0",
        "Stops the server.",
        shutdown,
    )
    .syntax("[save-selector=NOSAVE|SAVE] [NOW] [FORCE] [ABORT]")
    .flags(ADMIN | DANGEROUS | NO_SCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY),
    command(
        "readonly",
        1,
        Cluster,
        "3.0.0",
        "Allows reads from a replica.",
        |context, _| {
            set_read_only(context, true);
        },
    )
    .flags(FAST | LOADING | STALE)
    .category("connection"),
    command(
        "readwrite",
        1,
        Cluster,
        "3.0.0",
        "Ends READONLY.",
        |context, _| {
            set_read_only(context, false);
        },
    )
    .flags(FAST | LOADING | STALE)
    .category("connection"),
    command(
        "asking",
        1,
        Cluster,
        "3.0.0",
        "Follows an -ASK redirection.",
        asking,
    )
    .flags(FAST)
    .category("connection"),
];

const NO_CLUSTER: &str = "ERR This instance has cluster support disabled";

fn set_read_only(context: &mut Context, read_only: bool) {
    // A replica of a plain primary reads for clients that would follow a redirection.
    if !context.engine.view.is_cluster() && !context.session.follows_redirects {
        return context.reply.error(NO_CLUSTER);
    }
    context.session.read_only = read_only;
    context.reply.ok();
}

/// Slots move here without -ASK, so there is nothing to remember; clients may still say it.
fn asking(context: &mut Context, _arguments: &[&[u8]]) {
    if !context.engine.view.is_cluster() {
        return context.reply.error(NO_CLUSTER);
    }
    context.reply.ok();
}

fn role(context: &mut Context, _arguments: &[&[u8]]) {
    let view = &context.engine.view;
    let offset = view.facts.offset as i64;
    if view.role == Role::Replica {
        let link = view.facts.link.clone().unwrap_or_default();
        let primary = view
            .cluster
            .as_ref()
            .and_then(|c| c.my_shard()?.primary_member());
        let address = primary.map_or(String::new(), |primary| primary.address.clone());
        let (host, port) = split_address(&address);
        let state = match (link.connected, link.syncing) {
            (true, true) => "sync",
            (true, false) => "connected",
            (false, _) => "connect",
        };
        context.reply.array(5);
        context.reply.bulk(b"slave");
        context.reply.bulk(host.as_bytes());
        context.reply.integer(i64::from(port));
        context.reply.bulk(state.as_bytes());
        return context.reply.integer(offset);
    }
    let members = view.cluster.as_ref().and_then(|cluster| cluster.my_shard());
    let address_of = |name: &str| {
        members
            .and_then(|shard| shard.member(name))
            .map(|m| m.address.clone())
    };
    let streaming = view
        .facts
        .followers
        .iter()
        .filter(|follower| follower.streaming);
    let mut replicas: Vec<(String, u16, u64)> = streaming
        .filter_map(|follower| {
            let address = address_of(&follower.name)?;
            let (host, port) = split_address(&address);
            Some((host.to_owned(), port, follower.offset))
        })
        .collect();
    // Clients read from who is listed here: those that serve none are left out.
    let serving = mirrors(context.engine)
        .filter(|(_, mirror)| mirror.stage == Stage::Stream && mirror.port != 0);
    replicas.extend(serving.map(|(host, mirror)| {
        let offset = mirror.offset.min(view.facts.offset);
        (host.to_owned(), mirror.port, offset)
    }));
    context.reply.array(3);
    context.reply.bulk(b"master");
    context.reply.integer(offset);
    context.reply.array(replicas.len());
    for (host, port, offset) in replicas {
        context.reply.array(3);
        context.reply.bulk(host.as_bytes());
        context.reply.bulk(port.to_string().as_bytes());
        context.reply.bulk(offset.to_string().as_bytes());
    }
}

/// Host and port of `host:port`; port 0 when there is none.
pub fn split_address(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    (host, port.parse().unwrap_or(0))
}

fn shutdown(context: &mut Context, arguments: &[&[u8]]) {
    let words = &arguments[1..];
    let has = |name: &[u8]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let known: [&[u8]; 5] = [b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT"];
    let all_known = words
        .iter()
        .all(|word| known.iter().any(|k| word.eq_ignore_ascii_case(k)));
    let only_abort = words.iter().all(|word| word.eq_ignore_ascii_case(b"ABORT"));
    let contradictory = (has(b"SAVE") && has(b"NOSAVE")) || (has(b"ABORT") && !only_abort);
    if !all_known || contradictory {
        context.reply.error(SYNTAX);
    } else if has(b"ABORT") {
        context.reply.error("ERR No shutdown in progress.");
    } else if let Some(busy) = &context.engine.busy.script
        && !has(b"NOSAVE")
    {
        context.reply.error(busy.text());
    } else {
        context.outcome = Outcome::Shutdown;
    }
}
