//! Expiry and eviction: keys that a primary removes by itself, and logs as deleted. Replicas are
//! told by the log.

use super::Engine;
use super::notify::class;
use crate::keyspace::{HashedKey, eviction};
use rand_xoshiro::rand_core::RngCore;

/// Most keys evicted before one command; the rest follows with the next one and in the background.
const EVICTIONS_PER_COMMAND_MAX: usize = 128;

/// Most entries that are moved before one command, while the process is near the end of its memory.
const COMPACTED_PER_COMMAND_MAX: usize = 256;

impl Engine {
    /// Bytes that count against `maxmemory`.
    pub fn used_bytes(&self) -> u64 {
        self.keyspace.empty_bytes() + self.keyspace.bytes() + self.view.buffer_bytes
    }

    /// Whether more is used than `maxmemory` allows, or less than that is all that the process has
    /// room for.
    pub fn is_full(&self) -> bool {
        self.is_over(self.used_bytes() + self.view.excess_bytes)
    }

    /// Whether more is used than `maxmemory` allows.
    pub fn holds_too_much(&self) -> bool {
        self.is_over(self.used_bytes())
    }

    fn is_over(&self, bytes: u64) -> bool {
        let limit = self.config.maxmemory_bytes;
        limit > 0 && bytes > limit
    }

    /// Evicts until memory is within `maxmemory`, no key is left to evict, or a slice of work is
    /// done.
    pub fn make_room(&mut self, now_ms: u64) {
        if !self.view.may_expire() {
            return;
        }
        // Keys that go free the process of little while their neighbours stay.
        let evicts = self.config.maxmemory_policy != eviction::Policy::NoEviction;
        if self.view.excess_bytes > 0 && evicts && self.is_full() {
            self.keyspace.compact(COMPACTED_PER_COMMAND_MAX, true);
            self.timing.advance();
        }
        for _ in 0..EVICTIONS_PER_COMMAND_MAX {
            if !self.is_full() {
                return;
            }
            let random = &mut self.random;
            let victim = eviction::candidate(
                &self.keyspace,
                (self.config.maxmemory_policy, self.config.lfu),
                self.config.maxmemory_samples,
                now_ms,
                || random.next_u64(),
            );
            let Some(key) = victim else { return };
            self.stats.evicted_keys += 1;
            self.delete(&key);
            self.notify(class::EVICTED, "evicted", &key);
        }
    }

    /// Removes a key that has expired, where this member may.
    pub fn drop_if_expired(&mut self, key: &HashedKey, now_ms: u64) {
        if self.keyspace.volatile_len() == 0 || !self.view.may_expire() {
            return;
        }
        let entry = self.keyspace.find(key);
        if entry.is_some_and(|entry| entry.is_expired(now_ms)) {
            self.stats.expired_keys += 1;
            self.delete(key.bytes);
            self.notify(class::EXPIRED, "expired", key.bytes);
        }
    }

    /// Removes a key and logs it, as expiry and eviction do.
    pub fn delete(&mut self, key: &[u8]) {
        let hashed = self.keyspace.hashed(key);
        if let Some(entry) = self.keyspace.remove(&hashed) {
            self.keyspace.discard(entry.into_value());
            self.touch(key);
            self.effects.push(&hashed, &[b"DEL", key]);
        }
    }

    /// Removes keys that have expired, going round the slots from `slot`; about `keys_max` of them.
    /// Gives the slot to go on at. Only a primary expires: replicas are told by the log.
    pub fn expire_some(&mut self, slot: u16, now_ms: u64, keys_max: usize) -> u16 {
        let expires = self.keyspace.volatile_len() > 0 || self.keyspace.volatile_hashes() > 0;
        if !self.view.may_expire() || !expires || !self.expires_actively {
            return slot;
        }
        let mut budget = keys_max;
        for step in 0..protocol::slots::SLOT_COUNT {
            let slot = (slot + step) % protocol::slots::SLOT_COUNT;
            if !self.keyspace.may_expire(slot, now_ms) || !self.view.owns(slot) {
                continue;
            }
            let expired = self.keyspace.expired_keys(slot, now_ms, budget);
            let mut dropped = 0;
            for key in &expired {
                dropped += self.expire(key, now_ms, budget.saturating_sub(dropped));
            }
            budget = budget.saturating_sub(dropped.max(1));
            if budget == 0 {
                self.stats.expiry_slices_spent += 1;
                return slot;
            }
        }
        slot
    }

    /// Removes a key that has expired, or about `fields_max` expired fields of a hash; gives how
    /// many of either.
    fn expire(&mut self, key: &[u8], now_ms: u64, fields_max: usize) -> usize {
        let hashed = self.keyspace.hashed(key);
        let entry = self.keyspace.find(&hashed);
        if entry.is_some_and(|entry| entry.is_expired(now_ms)) {
            self.stats.expired_keys += 1;
            self.delete(key);
            self.notify(class::EXPIRED, "expired", key);
            return 1;
        }
        if fields_max > 0 {
            return self.drop_expired_fields(&hashed, now_ms, fields_max);
        }
        // It was taken for done: an update puts it back among those to look at.
        self.keyspace.update(&hashed, |_| ());
        0
    }
}
