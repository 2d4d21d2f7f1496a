//! CLUSTER: what cluster-aware clients ask of the topology.

pub mod slot_stats;
mod state;

use super::Group::Cluster;
use super::absent::refuse;
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_SCRIPT, STALE};
use super::{Command, answers, command, help, server::split_address};
use crate::execute::Context;
use crate::execute::context::Failure;
use crate::execute::view::ClusterView;
use protocol::slots::slot_of;
use protocol::topology::{Member, Shard};

const USUAL: u32 = STALE;

const BY_OPERATOR: &str = "the operator keeps the members of the cluster; edit the KVCluster";

const BY_MIGRATION: &str = "the operator decides which shard has a slot; scale the KVCluster";

const BY_EPOCHS: &str = "the operator counts the epochs of shards";

const BY_HANDOVER: &str = "the operator hands over: kubectl kv switchover";

/// A subcommand that does not exist here, and why.
const fn elsewhere(
    name: &'static str,
    arity: i32,
    since: &'static str,
    summary: &'static str,
    reason: &'static str,
) -> Command {
    command(
        name,
        arity,
        Cluster,
        since,
        summary,
        |context, arguments| match in_cluster(context) {
            Ok(()) => refuse(context, arguments),
            Err(failure) => context.answer(Err(failure)),
        },
    )
    .flags(STALE | ADMIN | DANGEROUS | NO_SCRIPT)
    .absent(reason)
}

pub const COMMANDS: &[Command] = &[command(
    "cluster",
    -2,
    Cluster,
    "3.0.0",
    "A container for cluster commands.",
    |_, _| {},
)
.flags(0)
.subcommands(&[
    command(
        "cluster|slots",
        2,
        Cluster,
        "3.0.0",
        "Maps slots to members.",
        slots,
    )
    .tips(&["nondeterministic_output"])
    .flags(USUAL),
    command(
        "cluster|shards",
        2,
        Cluster,
        "7.0.0",
        "Maps slots to shards.",
        shards,
    )
    .tips(&["nondeterministic_output"])
    .flags(USUAL),
    command(
        "cluster|nodes",
        2,
        Cluster,
        "3.0.0",
        "Lists the members.",
        nodes,
    )
    .tips(&["nondeterministic_output"])
    .flags(USUAL),
    command(
        "cluster|info",
        2,
        Cluster,
        "3.0.0",
        "Describes the cluster's state.",
        state::info,
    )
    .tips(&["nondeterministic_output"])
    .flags(USUAL),
    command(
        "cluster|myid",
        2,
        Cluster,
        "3.0.0",
        "Returns the member's id.",
        my_id,
    )
    .flags(USUAL),
    command(
        "cluster|myshardid",
        2,
        Cluster,
        "7.2.0",
        "Returns the id of the member's shard.",
        my_shard_id,
    )
    .tips(&["nondeterministic_output"])
    .flags(USUAL),
    command(
        "cluster|replicas",
        3,
        Cluster,
        "5.0.0",
        "Lists the replicas of a primary.",
        replicas,
    )
    .tips(&["nondeterministic_output"])
    .syntax("node-id")
    .flags(STALE | ADMIN | DANGEROUS),
    command(
        "cluster|slaves",
        3,
        Cluster,
        "3.0.0",
        "Lists the replicas of a primary.",
        replicas,
    )
    .tips(&["nondeterministic_output"])
    .syntax("node-id")
    .flags(STALE | ADMIN | DANGEROUS),
    command(
        "cluster|links",
        2,
        Cluster,
        "7.0.0",
        "Lists links between members: there is no cluster bus, so there are none.",
        |context, _| {
            with_view(context, |_, reply| reply.array(0));
        },
    )
    .tips(&["nondeterministic_output"])
    .flags(USUAL),
    command(
        "cluster|keyslot",
        3,
        Cluster,
        "3.0.0",
        "Returns the slot of a key.",
        |context, arguments| {
            let slot = i64::from(slot_of(arguments[2]));
            with_view(context, |_, reply| reply.integer(slot));
        },
    )
    .syntax("key:string")
    .flags(USUAL),
    command(
        "cluster|countkeysinslot",
        3,
        Cluster,
        "3.0.0",
        "Counts the keys of a slot.",
        |context, arguments| {
            let result = in_cluster(context).and_then(|()| state::count_keys(context, arguments));
            context.answer(result);
        },
    )
    .syntax("slot")
    .flags(USUAL),
    command(
        "cluster|getkeysinslot",
        4,
        Cluster,
        "3.0.0",
        "Returns keys of a slot.",
        |context, arguments| {
            let result = in_cluster(context).and_then(|()| state::get_keys(context, arguments));
            context.answer(result);
        },
    )
    .tips(&["nondeterministic_output"])
    .syntax("slot count")
    .flags(USUAL),
    command(
        "cluster|count-failure-reports",
        3,
        Cluster,
        "3.0.0",
        "Counts reports that a member failed: members make none, so it is 0.",
        failure_reports,
    )
    .tips(&["nondeterministic_output"])
    .syntax("node-id")
    .flags(STALE | ADMIN | DANGEROUS),
    command(
        "cluster|slot-stats",
        -4,
        Cluster,
        "8.0.0",
        "Shows keys, bytes, processor time and traffic of this shard's slots.",
        answers!(slot_stats::slot_stats),
    )
    .tips(&["nondeterministic_output", "request_policy:all_shards"])
    .syntax(
        "(filter=(SLOTSRANGE start-slot:integer end-slot:integer)\
         |(ORDERBY metric [LIMIT limit:integer] [order=ASC|DESC]))",
    )
    .flags(LOADING | STALE),
    elsewhere(
        "cluster|addslots",
        -3,
        "3.0.0",
        "Takes slots.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|addslotsrange",
        -4,
        "7.0.0",
        "Takes slots.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|bumpepoch",
        2,
        "3.0.0",
        "Raises the epoch.",
        BY_EPOCHS,
    ),
    elsewhere(
        "cluster|cancelslotmigrations",
        2,
        "9.0.0",
        "Ends migrations.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|delslots",
        -3,
        "3.0.0",
        "Gives slots up.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|delslotsrange",
        -4,
        "7.0.0",
        "Gives slots up.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|failover",
        -2,
        "3.0.0",
        "Promotes a replica.",
        BY_HANDOVER,
    ),
    elsewhere(
        "cluster|flushslot",
        -3,
        "9.0.0",
        "Empties a slot.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|flushslots",
        2,
        "3.0.0",
        "Gives all slots up.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|forget",
        3,
        "3.0.0",
        "Removes a member.",
        BY_OPERATOR,
    ),
    elsewhere(
        "cluster|getslotmigrations",
        2,
        "9.0.0",
        "Lists migrations.",
        BY_MIGRATION,
    ),
    elsewhere("cluster|meet", -4, "3.0.0", "Adds a member.", BY_OPERATOR),
    elsewhere(
        "cluster|migrateslots",
        -7,
        "9.0.0",
        "Moves slots.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|replicate",
        3,
        "3.0.0",
        "Makes a replica.",
        BY_OPERATOR,
    ),
    elsewhere(
        "cluster|reset",
        -2,
        "3.0.0",
        "Leaves the cluster.",
        BY_OPERATOR,
    ),
    elsewhere(
        "cluster|saveconfig",
        2,
        "3.0.0",
        "Saves the topology.",
        BY_OPERATOR,
    ),
    elsewhere(
        "cluster|set-config-epoch",
        3,
        "3.0.0",
        "Sets the epoch.",
        BY_EPOCHS,
    ),
    elsewhere(
        "cluster|setslot",
        -4,
        "3.0.0",
        "Gives a slot away.",
        BY_MIGRATION,
    ),
    elsewhere(
        "cluster|syncslots",
        -3,
        "9.0.0",
        "Follows a migration.",
        BY_MIGRATION,
    ),
    command(
        "cluster|help",
        2,
        Cluster,
        "5.0.0",
        "Lists the subcommands.",
        |context, arguments| match in_cluster(context) {
            Ok(()) => help(context, arguments),
            Err(failure) => context.answer(Err(failure)),
        },
    )
    .flags(LOADING | STALE),
])];

/// The shards that own slots, with what clients are told of them.
struct Listed<'a> {
    shard: &'a Shard,
    ranges: Vec<(u16, u16)>,
    /// Primary first; members without an address are left out.
    members: Vec<&'a Member>,
}

fn listed(view: &ClusterView) -> Vec<Listed<'_>> {
    let mut list = Vec::new();
    for (index, shard) in view.topology.shards.iter().enumerate() {
        let primary = shard.primary.as_deref();
        let mut members: Vec<&Member> = shard
            .members
            .iter()
            .filter(|member| !member.address.is_empty())
            .collect();
        members.sort_by_key(|member| Some(member.name.as_str()) != primary);
        list.push(Listed {
            shard,
            ranges: view.slots_of(index).ranges(),
            members,
        });
    }
    list
}

const NO_CLUSTER: &str = "ERR This instance has cluster support disabled";

fn in_cluster(context: &Context) -> Result<(), Failure> {
    let here = context.engine.view.is_cluster();
    here.then_some(()).ok_or(NO_CLUSTER.into())
}

/// Runs with the view, or answers that there is no cluster.
fn with_view(
    context: &mut Context,
    answer: impl FnOnce(&ClusterView, &mut protocol::resp::ReplyWriter),
) {
    match context.engine.view.cluster_view() {
        Some(view) => answer(view, &mut context.reply),
        None => context.reply.error(NO_CLUSTER),
    }
}

fn slots(context: &mut Context, _arguments: &[&[u8]]) {
    with_view(context, |view, reply| {
        let listed = listed(view);
        let ranges = listed.iter().filter(|entry| !entry.members.is_empty());
        reply.array(ranges.clone().map(|entry| entry.ranges.len()).sum());
        for entry in ranges {
            for (start, end) in &entry.ranges {
                reply.array(2 + entry.members.len());
                reply.integer(i64::from(*start));
                reply.integer(i64::from(*end));
                for member in &entry.members {
                    let (host, port) = split_address(&member.address);
                    reply.array(4);
                    reply.bulk(host.as_bytes());
                    reply.integer(i64::from(port));
                    reply.bulk(member.id.as_bytes());
                    reply.array(0);
                }
            }
        }
    });
}

fn shards(context: &mut Context, _arguments: &[&[u8]]) {
    let offset = context.engine.view.facts.offset;
    with_view(context, |view, reply| {
        let listed = listed(view);
        reply.array(listed.len());
        for entry in &listed {
            reply.map(2);
            reply.bulk(b"slots");
            reply.array(entry.ranges.len() * 2);
            for (start, end) in &entry.ranges {
                reply.integer(i64::from(*start));
                reply.integer(i64::from(*end));
            }
            reply.bulk(b"nodes");
            reply.array(entry.members.len());
            for member in &entry.members {
                let primary = entry.shard.primary.as_deref() == Some(&member.name);
                let (host, port) = split_address(&member.address);
                reply.map(7);
                reply.bulk(b"id");
                reply.bulk(member.id.as_bytes());
                reply.bulk(b"port");
                reply.integer(i64::from(port));
                for (name, value) in [("ip", host), ("endpoint", host)] {
                    reply.bulk(name.as_bytes());
                    reply.bulk(value.as_bytes());
                }
                reply.bulk(b"role");
                reply.bulk(if primary { b"master" } else { b"replica" });
                reply.bulk(b"replication-offset");
                reply.integer(if member.name == view.myself {
                    offset as i64
                } else {
                    0
                });
                reply.bulk(b"health");
                reply.bulk(b"online");
            }
        }
    });
}

fn my_id(context: &mut Context, _arguments: &[&[u8]]) {
    let id = context.engine.view.facts.member_id.clone();
    with_view(context, |_, reply| reply.bulk(id.as_bytes()));
}

/// Forty hexadecimal digits that stand for the shard as long as it has its name.
fn my_shard_id(context: &mut Context, _arguments: &[&[u8]]) {
    with_view(context, |view, reply| {
        let name = view.my_shard().map_or("", |shard| shard.name.as_str());
        let part = |number: u8| {
            format!(
                "{:08x}",
                crc32c::crc32c_append(u32::from(number), name.as_bytes())
            )
        };
        let id: String = (0..5).map(part).collect();
        reply.bulk(id.as_bytes());
    });
}

fn nodes(context: &mut Context, _arguments: &[&[u8]]) {
    with_view(context, |view, reply| {
        let mut text = String::new();
        for entry in listed(view) {
            for member in &entry.members {
                text += &node_line(view, &entry, member);
                text.push('\n');
            }
        }
        reply.verbatim(b"txt", text.as_bytes());
    });
}

/// A member's line of `CLUSTER NODES`.
fn node_line(view: &ClusterView, entry: &Listed, member: &Member) -> String {
    let is_primary = entry.shard.primary.as_deref() == Some(&member.name);
    let myself = if member.name == view.myself {
        "myself,"
    } else {
        ""
    };
    let primary = entry
        .shard
        .primary_member()
        .map_or("-", |member| member.id.as_str());
    let (role, master) = if is_primary {
        ("master", "-")
    } else {
        ("slave", primary)
    };
    let (_, port) = split_address(&member.address);
    let mut line = format!(
        "{} {}@{} {myself}{role} {master} 0 0 {} connected",
        member.id, member.address, port, entry.shard.epoch
    );
    for (start, end) in entry.ranges.iter().filter(|_| is_primary) {
        line.push(' ');
        line += &start.to_string();
        if start != end {
            line.push('-');
            line += &end.to_string();
        }
    }
    line
}

fn replicas(context: &mut Context, arguments: &[&[u8]]) {
    with_view(context, |view, reply| {
        let listed = listed(view);
        let wanted = |member: &&Member| member.id.as_bytes() == arguments[2];
        let found = listed
            .iter()
            .find(|entry| entry.members.iter().copied().any(|m| wanted(&m)));
        let Some(entry) = found else {
            let failure = Failure::quoting("ERR Unknown node ", arguments[2], "");
            return reply.error_bytes(failure.text());
        };
        if !entry
            .shard
            .primary_member()
            .is_some_and(|primary| wanted(&primary))
        {
            return reply.error("ERR The specified node is not a master");
        }
        let primary = entry.shard.primary.as_ref();
        let replicas = entry
            .members
            .iter()
            .filter(|member| Some(&member.name) != primary);
        reply.array(replicas.clone().count());
        for member in replicas {
            reply.bulk(node_line(view, entry, member).as_bytes());
        }
    });
}

fn failure_reports(context: &mut Context, arguments: &[&[u8]]) {
    with_view(context, |view, reply| {
        let listed = listed(view);
        let mut members = listed.iter().flat_map(|entry| &entry.members);
        if members.any(|member| member.id.as_bytes() == arguments[2]) {
            return reply.integer(0);
        }
        let failure = Failure::quoting("ERR Unknown node ", arguments[2], "");
        reply.error_bytes(failure.text());
    });
}
