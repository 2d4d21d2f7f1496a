//! Groups of consumers: what was delivered to whom and has not been acknowledged.

use super::id::StreamId;
use super::pending::ById;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A consumer's number in its group; it may be given again once the consumer has gone.
pub type ConsumerId = u32;

/// An entry that was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Unix time in milliseconds of the last delivery.
    pub delivered_ms: u64,
    pub deliveries: u64,
    pub consumer: ConsumerId,
}

#[derive(Debug, Clone)]
pub struct Consumer {
    pub name: Rc<[u8]>,
    /// When it last asked for entries. Times of consumers are no part of a digest.
    pub seen_ms: u64,
    /// When it last got some; `None` before it did.
    pub active_ms: Option<u64>,
    pending: ById<()>,
}

impl Consumer {
    pub fn pending(&self) -> &ById<()> {
        &self.pending
    }
}

#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The last entry delivered.
    pub last_id: StreamId,
    /// How many entries have been read, where that is known.
    pub entries_read: Option<u64>,
    pending: ById<Pending>,
    by_name: BTreeMap<Rc<[u8]>, ConsumerId>,
    consumers: Vec<Option<Rc<Consumer>>>,
    name_bytes: u64,
}

/// Bytes of a consumer beside its name: the struct, its counts and its places in two tables.
const CONSUMER_BYTES: u64 = size_of::<Consumer>() as u64 + 64;

const CONSUMERS_DROPPED_AT_ONCE: usize = 64;

impl Group {
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            last_id,
            entries_read,
            ..Self::default()
        }
    }

    /// Entries that wait for an acknowledgement, by id.
    pub fn pending(&self) -> &ById<Pending> {
        &self.pending
    }

    /// What is known of a pending entry, to be changed; its consumer must stay.
    pub fn pending_mut(&mut self, id: StreamId) -> Option<&mut Pending> {
        self.pending.get_mut(id)
    }

    pub fn consumer_count(&self) -> usize {
        self.by_name.len()
    }

    /// Consumers in order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> + Clone {
        let numbers = self.by_name.values();
        numbers.filter_map(|&number| self.consumer(number))
    }

    pub fn consumer_id(&self, name: &[u8]) -> Option<ConsumerId> {
        self.by_name.get(name).copied()
    }

    pub fn consumer(&self, id: ConsumerId) -> Option<&Consumer> {
        self.consumers.get(id as usize)?.as_deref()
    }

    pub fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.consumers
            .get_mut(id as usize)?
            .as_mut()
            .map(Rc::make_mut)
    }

    /// The name of a pending entry's consumer.
    pub fn name_of(&self, pending: &Pending) -> &[u8] {
        self.consumer(pending.consumer)
            .map_or(b"", |consumer| &consumer.name)
    }

    /// The consumer of that name, which is created if it is not there (`true`).
    pub fn consumer_or_new(&mut self, name: &[u8], now_ms: u64) -> (ConsumerId, bool) {
        if let Some(id) = self.consumer_id(name) {
            return (id, false);
        }
        let name: Rc<[u8]> = name.into();
        self.name_bytes += name.len() as u64;
        let consumer = Some(Rc::new(Consumer {
            name: Rc::clone(&name),
            seen_ms: now_ms,
            active_ms: None,
            pending: ById::default(),
        }));
        let free = self.consumers.iter().position(Option::is_none);
        let id = free.unwrap_or(self.consumers.len());
        if id == self.consumers.len() {
            self.consumers.push(consumer);
        } else {
            self.consumers[id] = consumer;
        }
        self.by_name.insert(name, id as ConsumerId);
        (id as ConsumerId, true)
    }

    /// Removes a consumer with what it has not acknowledged; how many entries that were.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.by_name.remove(name)?;
        let consumer = self.consumers.get_mut(id as usize)?.take()?;
        self.name_bytes -= name.len() as u64;
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Makes an entry pending, or changes what is known of it.
    pub fn deliver(&mut self, id: StreamId, pending: Pending) {
        let before = self.pending.insert(id, pending);
        if before.is_some_and(|before| before.consumer == pending.consumer) {
            return;
        }
        if let Some(before) = before.and_then(|before| self.consumer_mut(before.consumer)) {
            before.pending.remove(id);
        }
        if let Some(consumer) = self.consumer_mut(pending.consumer) {
            consumer.pending.insert(id, ());
        }
    }

    /// Makes an entry wait no more; `false` when it did not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else {
            return false;
        };
        if let Some(consumer) = self.consumer_mut(pending.consumer) {
            consumer.pending.remove(id);
        }
        true
    }

    /// Bytes of memory beside the struct itself.
    pub fn heap_bytes(&self) -> u64 {
        let each = ById::<Pending>::ITEM_BYTES + ById::<()>::ITEM_BYTES;
        let consumers = self.by_name.len() as u64 * CONSUMER_BYTES + self.name_bytes;
        consumers + (self.pending.len() * each) as u64
    }

    /// Drops a bounded part of the consumers and of what is pending; `true` while some is left.
    pub fn drop_part(&mut self) -> bool {
        for _ in 0..CONSUMERS_DROPPED_AT_ONCE {
            match self.consumers.last_mut() {
                None => return self.pending.drop_part(),
                Some(Some(last)) if !last.pending.is_empty() => {
                    Rc::make_mut(last).pending.drop_part();
                    return true;
                }
                Some(_) => drop(self.consumers.pop()),
            }
            self.by_name.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(consumer: ConsumerId, deliveries: u64) -> Pending {
        Pending {
            delivered_ms: 5,
            deliveries,
            consumer,
        }
    }

    #[test]
    fn an_entry_is_pending_for_one_consumer_at_a_time() {
        let mut group = Group::new(StreamId::MIN, None);
        let (alice, created) = group.consumer_or_new(b"alice", 1);
        let (bob, _) = group.consumer_or_new(b"bob", 1);
        assert!(created && !group.consumer_or_new(b"alice", 2).1);
        let id = StreamId::new(1, 1);
        group.deliver(id, pending(alice, 1));
        group.deliver(id, pending(bob, 2));
        assert_eq!(group.consumer(alice).unwrap().pending().len(), 0);
        assert_eq!(group.consumer(bob).unwrap().pending().len(), 1);
        assert_eq!(group.pending().get(id), Some(&pending(bob, 2)));
        assert!(group.acknowledge(id) && !group.acknowledge(id));
        assert_eq!(group.consumer(bob).unwrap().pending().len(), 0);
    }

    #[test]
    fn a_group_is_dropped_in_parts_however_many_consumers_it_has() {
        let mut group = Group::new(StreamId::MIN, None);
        for number in 0..1_000u64 {
            let name = format!("consumer {number}");
            let (consumer, _) = group.consumer_or_new(name.as_bytes(), 1);
            for seq in 0..10 {
                group.deliver(StreamId::new(number, seq), pending(consumer, 1));
            }
        }
        let (mut steps, mut left) = (0, (1_000, 10_000));
        while group.drop_part() {
            let now = (group.consumer_count(), group.pending.len());
            assert!(left.0 - now.0 <= CONSUMERS_DROPPED_AT_ONCE && left.1 - now.1 <= 256);
            left = now;
            steps += 1;
        }
        assert!(steps > 1_000, "{steps}");
        assert_eq!((group.consumer_count(), group.pending.len()), (0, 0));
    }

    #[test]
    fn a_consumer_goes_with_what_it_has_not_acknowledged() {
        let mut group = Group::new(StreamId::MIN, None);
        let (alice, _) = group.consumer_or_new(b"alice", 1);
        let (bob, _) = group.consumer_or_new(b"bob", 1);
        for seq in 0..600 {
            let consumer = if seq % 2 == 0 { alice } else { bob };
            group.deliver(StreamId::new(1, seq), pending(consumer, 1));
        }
        assert_eq!(group.remove_consumer(b"alice"), Some(300));
        assert_eq!(group.remove_consumer(b"alice"), None);
        assert_eq!((group.pending().len(), group.consumer_count()), (300, 1));
        assert_eq!(group.consumer_or_new(b"carol", 1), (alice, true));
        assert_eq!(group.consumer(alice).unwrap().pending().len(), 0);
    }
}
