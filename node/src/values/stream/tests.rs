//! Streams against a model, and what is written of them against what is read again.

use super::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

type Model = BTreeMap<StreamId, Vec<Vec<u8>>>;

fn pairs_of(entry: Entry) -> Vec<Vec<u8>> {
    let pairs = entry
        .pairs()
        .flat_map(|(field, value)| [field.to_vec(), value.to_vec()]);
    let pairs: Vec<Vec<u8>> = pairs.collect();
    assert_eq!(pairs.len(), entry.fields() * 2);
    pairs
}

fn assert_same(entries: &Entries, model: &Model) {
    let found: Vec<_> = entries.range(StreamId::MIN, StreamId::MAX).collect();
    assert_eq!(found.len() as u64, entries.len());
    let found = found.into_iter().map(|entry| (entry.id, pairs_of(entry)));
    assert!(found.eq(model.iter().map(|(id, pairs)| (*id, pairs.clone()))));
    let backwards = entries.range_backwards(StreamId::MIN, StreamId::MAX);
    let ids: Vec<StreamId> = backwards.map(|entry| entry.id).collect();
    assert!(ids.iter().eq(model.keys().rev()));
    assert_eq!(entries.first_id(), model.keys().next().copied());
    assert_eq!(entries.last_live_id(), model.keys().next_back().copied());
}

struct Random(Xoshiro256PlusPlus);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }

    fn pairs(&mut self) -> Vec<Vec<u8>> {
        let names: &[&[&str]] = &[&["a", "b"], &["a", "b"], &["a"], &["temperature", "", "b"]];
        let mut pairs = Vec::new();
        for name in names[self.below(4) as usize] {
            let length = if self.below(50) == 0 {
                300
            } else {
                self.below(9)
            };
            pairs.push(name.as_bytes().to_vec());
            pairs.push((0..length).map(|_| self.below(256) as u8).collect());
        }
        pairs
    }

    /// An id that is in the model, or near one that is.
    fn id(&mut self, model: &Model) -> StreamId {
        let at = self.below(model.len() as u64 + 1) as usize;
        let id = model.keys().nth(at).copied().unwrap_or(StreamId::MAX);
        match self.below(4) {
            0 => id.next().unwrap_or(id),
            1 => id.previous().unwrap_or(id),
            _ => id,
        }
    }
}

fn step(random: &mut Random, entries: &mut Entries, model: &mut Model, limits: Limits) {
    match random.below(12) {
        0..=7 => {
            let next = entries.last_id.next().unwrap();
            let id = match random.below(4) {
                0 => StreamId::new(next.ms + random.below(300), next.seq),
                _ => StreamId::new(next.ms, next.seq + random.below(2)),
            };
            let pairs = random.pairs();
            let slices: Vec<&[u8]> = pairs.iter().map(Vec::as_slice).collect();
            entries.push(id, &slices, limits);
            model.insert(id, pairs);
        }
        8 | 9 => {
            let id = random.id(model);
            assert_eq!(entries.get(id).map(pairs_of), model.get(&id).cloned());
            assert_eq!(entries.delete(id), model.remove(&id).is_some());
        }
        10 => {
            let (start, end) = (random.id(model), random.id(model));
            let range = |pair: (&StreamId, &Vec<Vec<u8>>)| *pair.0;
            let expect: Vec<_> = if start <= end {
                model.range(start..=end).map(range).collect()
            } else {
                Vec::new()
            };
            let found: Vec<_> = entries.range(start, end).map(|entry| entry.id).collect();
            assert_eq!(found, expect);
            let found = entries.range_backwards(start, end).map(|entry| entry.id);
            assert!(found.eq(expect.iter().rev().copied()));
        }
        _ if random.below(4) == 0 => {
            let trim = match random.below(2) {
                0 => Trim::ToLength(random.below(model.len() as u64 + 2)),
                _ => Trim::Before(random.id(model)),
            };
            let trimming = Trimming {
                trim,
                approximate: false,
                limit: 0,
            };
            let before = model.len();
            match trim {
                Trim::ToLength(length) => {
                    while model.len() as u64 > length {
                        model.pop_first();
                    }
                }
                Trim::Before(id) => *model = model.split_off(&id),
            }
            assert_eq!(entries.trim(trimming).0, (before - model.len()) as u64);
        }
        _ => {}
    }
}

#[test]
fn entries_behave_as_an_ordered_map_and_clones_stay_as_they_were() {
    for seed in 0..20 {
        let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(seed));
        let limits = Limits::new(
            [4096, 100, 0][seed as usize % 3],
            [100, 3, 7][seed as usize % 3],
        );
        let (mut entries, mut model) = (Entries::default(), Model::new());
        let mut clones = Vec::new();
        for round in 0..1_500 {
            step(&mut random, &mut entries, &mut model, limits);
            if round % 300 == 0 {
                assert_same(&entries, &model);
                clones.push((entries.clone(), model.clone()));
            }
        }
        for (entries, model) in &clones {
            assert_same(entries, model);
        }
        let bytes: u64 = entries.heap_bytes();
        assert!(
            entries.is_empty() || bytes > entries.len() * 4,
            "seed {seed}: {bytes}"
        );
        while entries.drop_part() {}
        assert_eq!((entries.len(), entries.heap_bytes()), (0, 0), "seed {seed}");
    }
}

fn filled(count: u64) -> Entries {
    let mut entries = Entries::default();
    for ms in 1..=count {
        entries.push(StreamId::new(ms, 0), &[b"f", b"v"], Limits::new(4096, 100));
    }
    entries
}

#[test]
fn approximate_trimming_removes_whole_chunks_up_to_its_limit() {
    let removed = |trim: Trim, limit: u64| {
        let mut entries = filled(1_000);
        let trimming = Trimming {
            trim,
            approximate: true,
            limit,
        };
        let (removed, garbage) = entries.trim(trimming);
        assert_eq!((garbage.len(), entries.len()), (removed, 1_000 - removed));
        removed
    };
    assert_eq!(removed(Trim::ToLength(550), 0), 400);
    assert_eq!(removed(Trim::ToLength(500), 0), 500);
    assert_eq!(removed(Trim::ToLength(0), 0), 1_000);
    assert_eq!(removed(Trim::ToLength(0), 250), 200);
    assert_eq!(removed(Trim::Before(StreamId::new(301, 0)), 0), 300);
    assert_eq!(removed(Trim::Before(StreamId::new(300, 0)), 0), 200);
}

#[test]
fn small_entries_of_the_same_fields_take_few_bytes() {
    let bytes = filled(10_000).heap_bytes();
    assert!(bytes < 10_000 * 12, "{bytes}");
}

#[test]
fn the_lag_of_a_group_is_told_where_it_can_be() {
    let mut entries = filled(5);
    let id = |ms| StreamId::new(ms, 0);
    assert_eq!(entries.lag(StreamId::MIN, None), Some(5));
    assert_eq!(entries.lag(id(2), None), None);
    assert_eq!(entries.lag(id(2), Some(2)), Some(3));
    assert_eq!(entries.lag(id(5), None), Some(0));
    entries.delete(id(3));
    assert_eq!(entries.lag(StreamId::MIN, None), None);
    assert_eq!(entries.lag(id(2), Some(2)), None);
    assert_eq!(entries.lag(id(4), Some(4)), Some(1));
    let trimming = Trimming {
        trim: Trim::Before(id(4)),
        approximate: false,
        limit: 0,
    };
    entries.trim(trimming);
    assert_eq!(entries.lag(StreamId::MIN, None), Some(2));
    entries.trim(Trimming {
        trim: Trim::ToLength(0),
        ..trimming
    });
    assert_eq!(entries.lag(StreamId::MIN, None), Some(0));
}

/// What is held of a stream: its entries, and what is pending for groups and for consumers.
fn held(stream: &Stream, consumers: [ConsumerId; 2]) -> u64 {
    let of_group = |group: &Group| {
        let consumers = consumers.iter().filter_map(|id| group.consumer(*id));
        let pending = consumers.map(|consumer| consumer.pending().len());
        group.pending().len() + pending.sum::<usize>()
    };
    let pending: usize = stream.groups().map(|(_, group)| of_group(group)).sum();
    stream.entries.len() + pending as u64
}

#[test]
fn a_stream_with_much_that_is_pending_is_dropped_in_parts_of_bounded_size() {
    const ENTRIES: u64 = 20_000;
    let mut stream = Stream::of_entries(filled(ENTRIES));
    let mut template = Group::new(StreamId::MIN, None);
    let consumers = [b"alice", b"bobby"].map(|name| template.consumer_or_new(name, 1).0);
    for name in [&b"first"[..], b"second"] {
        let mut group = template.clone();
        for ms in 1..=ENTRIES {
            let pending = Pending {
                delivered_ms: 1,
                deliveries: 1,
                consumer: consumers[(ms % 2) as usize],
            };
            group.deliver(StreamId::new(ms, 0), pending);
        }
        assert!(stream.add_group(name, group));
    }
    let mut left = held(&stream, consumers);
    assert_eq!(left, ENTRIES * 5);
    let mut steps = 0;
    while stream.drop_part() {
        let now = held(&stream, consumers);
        assert!(left - now <= 256, "{} at once", left - now);
        left = now;
        steps += 1;
    }
    assert!(steps >= ENTRIES * 5 / 256, "{steps}");
    assert_eq!((held(&stream, consumers), stream.group_count()), (0, 0));
}
