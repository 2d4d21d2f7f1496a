//! What commands on each slot have cost, while `cluster-slot-stats-enabled` asks for it.

use super::Engine;
use protocol::slots::{SLOT_COUNT, SlotSet};

/// Of one slot.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SlotCost {
    /// Processor time of commands.
    pub cpu_ns: u64,
    /// Requests of clients.
    pub input_bytes: u64,
    /// Replies and messages to clients, and what replicas are sent of changes.
    pub output_bytes: u64,
}

/// Of all slots; takes memory once something was counted.
#[derive(Debug, Default)]
pub struct SlotStats {
    slots: Option<Box<[SlotCost]>>,
}

impl SlotStats {
    pub fn of(&self, slot: u16) -> SlotCost {
        let slots = self.slots.as_deref().unwrap_or_default();
        slots.get(usize::from(slot)).copied().unwrap_or_default()
    }

    pub fn add(&mut self, slot: u16, cost: SlotCost) {
        let none = || vec![SlotCost::default(); usize::from(SLOT_COUNT)].into();
        let slots = self.slots.get_or_insert_with(none);
        if let Some(of) = slots.get_mut(usize::from(slot)) {
            of.cpu_ns += cost.cpu_ns;
            of.input_bytes += cost.input_bytes;
            of.output_bytes += cost.output_bytes;
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.slots = None;
    }

    /// Forgets all slots but these: the others belong to another shard now.
    pub fn keep_only(&mut self, kept: &SlotSet) {
        for (slot, cost) in (0u16..).zip(self.slots.iter_mut().flatten()) {
            if !kept.contains(slot) {
                *cost = SlotCost::default();
            }
        }
    }
}

impl Engine {
    /// Counts the cost of the request that was just executed for the slot of its keys.
    pub fn count_slot_cost(&mut self, arguments: &[&[u8]], cost: SlotCost) {
        if !self.view.is_cluster() {
            return;
        }
        let Some(command) = self.last_command else {
            return;
        };
        let slot = match command.keys(arguments).next() {
            Some(key) => Some(self.keyspace.hashed_with(&self.hint, key).slot),
            None if command.name == "exec" => self.transaction_slot,
            None => None,
        };
        if let Some(slot) = slot {
            self.slot_stats.add(slot, cost);
        }
    }

    /// Counts what a client that waited for a key, or listened to a channel, is sent.
    pub(super) fn count_slot_output(&mut self, key: &[u8], bytes: usize) {
        if self.config.slot_stats && self.view.is_cluster() {
            let slot = self.keyspace.hashed(key).slot;
            let output_bytes = bytes as u64;
            let cost = SlotCost {
                output_bytes,
                ..SlotCost::default()
            };
            self.slot_stats.add(slot, cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up_until_the_slot_is_given_away() {
        let mut stats = SlotStats::default();
        let cost = SlotCost {
            cpu_ns: 5,
            input_bytes: 7,
            output_bytes: 11,
        };
        stats.keep_only(&SlotSet::default());
        assert_eq!(stats.of(3), SlotCost::default());
        stats.add(3, cost);
        stats.add(3, cost);
        stats.add(16383, cost);
        assert_eq!((stats.of(3).cpu_ns, stats.of(3).output_bytes), (10, 22));
        stats.keep_only(&[16383u16].into_iter().collect());
        assert_eq!(stats.of(3), SlotCost::default());
        assert_eq!(stats.of(16383), cost);
    }
}
