//! The section on replication.

use super::super::server::split_address;
use crate::execute::Engine;
use crate::execute::mirror::{Mirror, Stage};
use protocol::status::Role;
use std::fmt::Write as _;

/// An id of nobody.
const NO_RUN: &str = "0000000000000000000000000000000000000000";

pub fn replication(text: &mut String, engine: &Engine, now_ms: u64) {
    let facts = &engine.view.facts;
    let replica = engine.view.role == Role::Replica;
    lines!(text, "role": if replica { "slave" } else { "master" });
    let shard = engine
        .view
        .cluster
        .as_ref()
        .and_then(|cluster| cluster.my_shard());
    if replica {
        let primary = shard.and_then(|shard| shard.primary_member());
        let address = primary.map_or("", |primary| primary.address.as_str());
        let (host, port) = split_address(address);
        let link = facts.link.clone().unwrap_or_default();
        lines!(text,
            "master_host": host,
            "master_port": port,
            "master_link_status": if link.connected { "up" } else { "down" },
            "master_last_io_seconds_ago": link.idle_ms / 1000,
            "master_sync_in_progress": u8::from(link.syncing),
            "slave_read_repl_offset": facts.offset,
            "slave_repl_offset": facts.offset,
            "slave_priority": engine.config.remembered("replica-priority").unwrap_or("100"),
            "slave_read_only": 1,
            "replica_announced": 1,
        );
    }
    followers(text, engine, now_ms);
    lines!(text,
        "master_failover_state": "no-failover",
        "master_replid": facts.run_id,
        "master_replid2": NO_RUN,
        "master_repl_offset": facts.offset,
        "second_repl_offset": -1,
        "kvcluster_epoch": facts.epoch,
        "kvcluster_committed_offset": facts.committed_offset,
        "repl_backlog_active": u8::from(facts.backlog_bytes > 0),
        "repl_backlog_size": engine.config.backlog_bytes,
        "repl_backlog_first_byte_offset": facts.offset.saturating_sub(facts.backlog_bytes),
        "repl_backlog_histlen": facts.backlog_bytes,
    );
}

/// Those who follow: members, and clients that do so in Redis' own way.
fn followers(text: &mut String, engine: &Engine, now_ms: u64) {
    let facts = &engine.view.facts;
    let count = facts.followers.len();
    lines!(text, "connected_slaves": count + mirrors(engine).count());
    if engine.config.min_replicas > 0 {
        let good = facts.followers.iter().filter(|follower| follower.streaming);
        lines!(text, "min_slaves_good_slaves": good.count());
    }
    for (index, follower) in facts.followers.iter().enumerate() {
        let cluster = engine.view.cluster.as_ref();
        let shard = cluster.and_then(|cluster| cluster.my_shard());
        let member = shard.and_then(|shard| shard.member(&follower.name));
        let address = member.map_or("", |member| member.address.as_str());
        let (host, port) = split_address(address);
        let state = if follower.streaming {
            "online"
        } else {
            "send_bulk"
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "slave{index}:ip={host},port={port},state={state},offset={},lag=0\r\n",
            follower.offset
        );
    }
    for (index, (host, mirror)) in mirrors(engine).enumerate() {
        let (state, silent_ms) = match mirror.stage {
            Stage::None | Stage::Base => ("send_bulk", 0),
            Stage::Stream => ("online", now_ms.saturating_sub(mirror.heard_ms)),
        };
        let _ = write!(
            text,
            "slave{}:ip={host},port={},state={state},offset={},lag={}\r\n",
            count + index,
            mirror.port,
            mirror.offset.min(facts.offset),
            silent_ms / 1000
        );
    }
}

/// Clients that follow in Redis' own way, and where they are.
pub fn mirrors(engine: &Engine) -> impl Iterator<Item = (&str, &Mirror)> {
    let sessions = engine.sessions.iter().map(|(_, session)| session);
    let following = sessions.filter(|session| session.follows());
    following.filter_map(|session| {
        let mirror = session.mirror.as_deref()?;
        let host = match mirror.host.as_str() {
            "" => split_address(&session.address).0,
            host => host,
        };
        Some((host, mirror))
    })
}
