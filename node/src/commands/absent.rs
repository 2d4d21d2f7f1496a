//! Commands of Redis that are absent on purpose. Each answers why; rules of ACLs may name them.

use super::Group::{Connection, Generic, Server};
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_ASYNC_LOADING, NO_SCRIPT, STALE, WRITE};
use super::{Command, Support, command, help};
use crate::execute::Context;
use protocol::status::Role;

const USUAL: u32 = ADMIN | DANGEROUS | NO_SCRIPT | LOADING | STALE;

const FOLLOWED: &str = "(args=(host-port=host port:integer)|(no-one=NO ONE))";

const USUAL_OF_REPLICAS: u32 = ADMIN | DANGEROUS | NO_SCRIPT | NO_ASYNC_LOADING | STALE;

const BY_TOPOLOGY: &str = "who replicates whom is decided by the topology of the operator";

const NO_ONE: &str = "NO ONE is taken by a primary; otherwise the topology of the operator decides \
    who replicates whom";

pub const COMMANDS: &[Command] = &[
    command(
        "clusterscan",
        -2,
        Generic,
        "9.1.0",
        "Iterates over the keys of a cluster.",
        refuse,
    )
    .category("keyspace")
    .absent("SCAN iterates over the keys of one shard; clients go through the shards"),
    command(
        "failover",
        -1,
        Server,
        "6.2.0",
        "Hands over to a replica.",
        refuse,
    )
    .flags(USUAL)
    .absent("the operator hands over: kubectl kv switchover"),
    command(
        "module",
        -2,
        Server,
        "4.0.0",
        "A container for commands on modules.",
        |_, _| {},
    )
    .subcommands(MODULE),
    command(
        "move",
        3,
        Generic,
        "1.0.0",
        "Moves a key to a database.",
        refuse,
    )
    .flags(WRITE)
    .one_key()
    .key_flags("RW access update")
    .category("keyspace")
    .absent("there is one database"),
    command("replicaof", 3, Server, "5.0.0", "Makes a replica.", follow)
        .syntax(FOLLOWED)
        .flags(USUAL_OF_REPLICAS)
        .partial(NO_ONE),
    command(
        "restore-asking",
        -4,
        Server,
        "3.0.0",
        "What RESTORE is to a slot that moves.",
        refuse,
    )
    .flags(WRITE | DANGEROUS)
    .one_key()
    .key_flags("OW update")
    .category("keyspace")
    .absent("slots move by the operator's migrations, without -ASK"),
    command(
        "sentinel",
        -2,
        Connection,
        "2.8.4",
        "Commands of Sentinel.",
        refuse,
    )
    .flags(USUAL)
    .absent("the operator does what Sentinel does"),
    command("sflush", -3, Server, "8.0.0", "Empties slots.", refuse)
        .flags(DANGEROUS)
        .category("keyspace")
        .absent("FLUSHALL empties a shard"),
    command("slaveof", 3, Server, "1.0.0", "Makes a replica.", follow)
        .syntax(FOLLOWED)
        .flags(USUAL_OF_REPLICAS)
        .partial(NO_ONE),
    command("swapdb", 3, Server, "4.0.0", "Swaps databases.", refuse)
        .flags(DANGEROUS)
        .absent("there is one database"),
];

const NO_MODULES: &str = "there are no modules";

/// Tools list modules, and find none.
const MODULE: &[Command] = &[
    command(
        "module|help",
        2,
        Server,
        "5.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
    command(
        "module|list",
        2,
        Server,
        "4.0.0",
        "Lists the modules: there are none.",
        |context, _| context.reply.array(0),
    )
    .tips(&["nondeterministic_output_order"])
    .flags(ADMIN | DANGEROUS | NO_SCRIPT),
    command(
        "module|load",
        -3,
        Server,
        "4.0.0",
        "Loads a module.",
        refuse,
    )
    .flags(USUAL)
    .absent(NO_MODULES),
    command(
        "module|loadex",
        -3,
        Server,
        "7.0.0",
        "Loads a module.",
        refuse,
    )
    .flags(USUAL)
    .absent(NO_MODULES),
    command(
        "module|unload",
        3,
        Server,
        "4.0.0",
        "Unloads a module.",
        refuse,
    )
    .flags(USUAL)
    .absent(NO_MODULES),
];

/// A primary is none's replica already: who makes sure of that may.
fn follow(context: &mut Context, arguments: &[&[u8]]) {
    let is = |at: usize, word: &str| arguments[at].eq_ignore_ascii_case(word.as_bytes());
    let leads = matches!(context.engine.view.role, Role::Primary | Role::Standalone);
    if is(1, "no") && is(2, "one") && leads {
        return context.reply.ok();
    }
    let name = context.command.name.to_ascii_uppercase();
    let text = format!("ERR {name} is not supported: {BY_TOPOLOGY}");
    context.reply.error(&text);
}

pub fn refuse(context: &mut Context, _arguments: &[&[u8]]) {
    if let Support::Absent(reason) = context.command.support {
        let name = context.command.name.replace('|', " ").to_ascii_uppercase();
        let text = format!("ERR {name} is not supported: {reason}");
        context.reply.error(&text);
    }
}
