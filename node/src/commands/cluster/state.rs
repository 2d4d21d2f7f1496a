//! CLUSTER INFO, and the keys that a slot has here.

use super::with_view;
use crate::execute::Context;
use crate::execute::context::{Failure, integer};
use crate::keyspace::Place;
use protocol::slots::SLOT_COUNT;

pub fn info(context: &mut Context, _arguments: &[&[u8]]) {
    let serves = context.engine.view.lease_valid;
    let replica = context.engine.view.role == protocol::status::Role::Replica;
    with_view(context, |view, reply| {
        let assigned: usize = (0..view.topology.shards.len())
            .map(|shard| view.slots_of(shard).len())
            .sum();
        let up = view.covers_all() && (serves || replica);
        let members: usize = view
            .topology
            .shards
            .iter()
            .map(|shard| shard.members.len())
            .sum();
        let size = view
            .topology
            .shards
            .iter()
            .filter(|shard| !shard.slots.is_empty())
            .count();
        let epoch = view
            .topology
            .shards
            .iter()
            .map(|shard| shard.epoch)
            .max()
            .unwrap_or(0);
        let mine = view.my_shard().map_or(0, |shard| shard.epoch);
        let text = format!(
            "cluster_enabled:1\r\ncluster_state:{}\r\ncluster_slots_assigned:{assigned}\r\n\
             cluster_slots_ok:{assigned}\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\n\
             cluster_known_nodes:{members}\r\ncluster_size:{size}\r\n\
             cluster_current_epoch:{epoch}\r\ncluster_my_epoch:{mine}\r\n\
             cluster_stats_messages_sent:0\r\n\
             cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n",
            if up { "ok" } else { "fail" }
        );
        reply.verbatim(b"txt", text.as_bytes());
    });
}

pub fn count_keys(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let slot = valid_slot(integer(arguments[2])?).ok_or("ERR Invalid slot")?;
    let count = context.engine.keyspace.slot_len(slot);
    context.reply.integer(count as i64);
    Ok(())
}

fn valid_slot(slot: i64) -> Option<u16> {
    u16::try_from(slot).ok().filter(|slot| *slot < SLOT_COUNT)
}

pub fn get_keys(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (slot, count) = (integer(arguments[2])?, integer(arguments[3])?);
    let valid = valid_slot(slot).zip(usize::try_from(count).ok());
    let (slot, count) = valid.ok_or("ERR Invalid slot or number of keys")?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut place = Some(Place { slot, prefix: 0 });
    while let Some(at) = place.filter(|at| at.slot == slot && found.len() < count) {
        place = context.engine.keyspace.visit(at, |entry| {
            if found.len() < count {
                found.push(entry.key().to_vec());
            }
        });
    }
    context.reply.array(found.len());
    for key in &found {
        context.reply.bulk(key);
    }
    Ok(())
}
