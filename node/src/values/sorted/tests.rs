//! The sorted set beside a plain model of it.

use super::*;
use crate::values::Collection;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

const LIMITS: Limits = Limits {
    entries: 128,
    member_bytes: 64,
};

/// Items in their order.
type Model = Vec<(f64, Vec<u8>)>;

fn model_of(set: &SortedSet) -> Model {
    set.iter().map(|(s, m)| (s, m.to_vec())).collect()
}

fn place_in(model: &Model, score: f64, member: &[u8]) -> usize {
    model.partition_point(|(s, m)| precedes((*s, m), (score, member)))
}

fn find(model: &Model, member: &[u8]) -> Option<usize> {
    model.iter().position(|(_, m)| m == member)
}

/// A member out of `kinds`; some are long, some share long beginnings.
fn member(random: u64, kinds: u64) -> Vec<u8> {
    let number = random % kinds;
    match number % 50 {
        0 => [vec![b'x'; 1500], number.to_string().into_bytes()].concat(),
        1 => [vec![b'y'; 9000], number.to_string().into_bytes()].concat(),
        2..10 => format!("a long beginning that many share {number}").into_bytes(),
        _ => number.to_string().into_bytes(),
    }
}

struct Check {
    set: SortedSet,
    model: Model,
    random: Xoshiro256PlusPlus,
}

impl Check {
    fn step(&mut self, kinds: u64, scores: u64) {
        let member = member(self.random.next_u64(), kinds);
        let choice = self.random.next_u64() % 100;
        if choice < 65 {
            let score = (self.random.next_u64() % scores) as f64 / 4.0 - 3.0;
            let before = find(&self.model, &member).map(|at| self.model.remove(at).0);
            let at = place_in(&self.model, score, &member);
            self.model.insert(at, (score, member.clone()));
            assert_eq!(self.set.insert(score, &member, LIMITS), before);
        } else if choice < 98 {
            let before = find(&self.model, &member).map(|at| self.model.remove(at).0);
            assert_eq!(self.set.remove(&member), before);
        } else if !self.model.is_empty() {
            let length = self.model.len();
            let start = self.random.next_u64() as usize % length;
            let end = start + self.random.next_u64() as usize % (length - start).min(300);
            self.model.drain(start..end);
            self.set.remove_ranks(start..end);
        }
    }

    fn compare(&mut self) {
        assert_eq!(model_of(&self.set), self.model);
        let mut reversed: Model = self.model.clone();
        reversed.reverse();
        let items = self.set.items_from(self.set.len(), true);
        assert!(items.eq(reversed.iter().map(|(s, m)| (*s, m.as_slice()))));
        for _ in 0..20 {
            let rank = self.random.next_u64() as usize % (self.model.len() + 1);
            let forward = self.set.items_from(rank, false).take(100);
            let expect = self.model[rank..].iter().take(100);
            assert!(forward.eq(expect.map(|(s, m)| (*s, m.as_slice()))));
            let backward = self.set.items_from(rank, true).take(100);
            let expect = self.model[..rank].iter().rev().take(100);
            assert!(backward.eq(expect.map(|(s, m)| (*s, m.as_slice()))));
            if let Some((score, member)) = self.model.get(rank) {
                assert_eq!(self.set.rank_of(member), Some((rank, *score)));
                assert_eq!(self.set.score_of(member), Some(*score));
                let below = self.model.iter().filter(|(s, _)| s < score).count();
                assert_eq!(self.set.count_before(|s, _| s < *score), below);
            }
        }
        assert_eq!(self.set.rank_of(b"nobody"), None);
    }
}

fn run(seed: u64, steps: usize, kinds: u64, scores: u64) {
    println!("seed {seed}");
    let mut check = Check {
        set: SortedSet::default(),
        model: Model::new(),
        random: Xoshiro256PlusPlus::seed_from_u64(seed),
    };
    check.set.set_seed(seed);
    let mut copies: Vec<(SortedSet, Model)> = Vec::new();
    for step in 0..steps {
        check.step(kinds, scores);
        if step % (steps / 20) == 0 {
            check.compare();
            copies.push((check.set.clone(), check.model.clone()));
        }
    }
    check.compare();
    for (set, model) in &copies {
        assert_eq!(model_of(set), *model);
    }
    while !check.set.is_empty() {
        let (_, member) = check.model.remove(check.model.len() / 2);
        assert!(check.set.remove(&member).is_some());
    }
    assert_eq!(check.set.iter().count(), 0);
}

#[test]
fn a_large_set_does_what_a_sorted_list_does() {
    run(1, 12_000, 3_000, 40);
}

#[test]
fn a_set_of_equal_scores_does_what_a_sorted_list_does() {
    run(2, 8_000, 2_000, 1);
}

#[test]
fn a_small_set_does_what_a_sorted_list_does() {
    run(3, 4_000, 100, 1_000);
}

#[test]
fn members_come_in_ascending_and_descending_order() {
    for descending in [false, true] {
        let mut set = SortedSet::default();
        for number in 0..5_000 {
            let score = if descending { -number } else { number };
            let before = set.insert(f64::from(score), number.to_string().as_bytes(), LIMITS);
            assert_eq!(before, None);
        }
        let ranks: Vec<f64> = set.iter().map(|(score, _)| score).collect();
        assert!(ranks.is_sorted() && ranks.len() == 5_000);
        assert_eq!(
            set.count_before(|score, _| score < 0.0),
            if descending { 4_999 } else { 0 }
        );
    }
}

fn filled(count: u32) -> SortedSet {
    let mut set = SortedSet::default();
    for number in 0..count {
        set.insert(
            f64::from(number % 7),
            format!("member:{number}").as_bytes(),
            LIMITS,
        );
    }
    set
}

#[test]
fn a_scan_visits_what_stays_while_others_come_and_go() {
    let mut set = filled(3_000);
    let mut seen = std::collections::BTreeSet::new();
    let (mut cursor, mut round) = (0, 0u32);
    loop {
        let mut visited = Vec::new();
        cursor = set.scan(cursor, 10, |_, member| visited.push(member.to_vec()));
        assert!((1..20).contains(&visited.len()));
        seen.extend(visited.iter().cloned());
        if cursor == 0 {
            break;
        }
        // Those seen go, others change their score, and new ones come.
        for member in visited {
            set.remove(&member);
        }
        let member = format!("member:{}", round * 37 % 3_000);
        if set.score_of(member.as_bytes()).is_some() {
            set.insert(f64::from(round % 11) - 5.0, member.as_bytes(), LIMITS);
        }
        set.insert(1.0, format!("new:{round}").as_bytes(), LIMITS);
        round += 1;
    }
    for number in 0..3_000 {
        let member = format!("member:{number}").into_bytes();
        assert!(seen.contains(&member), "{number}");
    }
}

#[test]
fn the_encoding_follows_the_limits_and_stays() {
    let mut set = filled(128);
    assert_eq!(set.encoding(), "listpack");
    set.insert(9.0, b"member:1", LIMITS);
    assert_eq!(set.encoding(), "listpack");
    set.insert(9.0, b"one more", LIMITS);
    assert_eq!(set.encoding(), "skiplist");
    set.remove_ranks(0..100);
    assert_eq!(set.encoding(), "skiplist");
    let mut long = SortedSet::default();
    long.insert(1.0, &[b'x'; 64], LIMITS);
    assert_eq!(long.encoding(), "listpack");
    long.insert(1.0, &[b'x'; 65], LIMITS);
    assert_eq!(long.encoding(), "skiplist");
}

#[test]
fn effects_and_digests_are_of_the_items_alone() {
    let set = filled(1_000);
    let (mut effects, mut place, mut pieces) = (Vec::new(), Some(0), 0);
    while let Some(at) = place {
        place = set.write_effects(&mut effects, b"key", at);
        pieces += 1;
    }
    assert!(pieces > 5);
    let mut engine = crate::execute::Engine::new(1, crate::execute::config::Config::default());
    engine.replay(&effects).unwrap();
    let key = engine.keyspace.hashed(b"key");
    let copy: &SortedSet = engine.keyspace.find(&key).unwrap().collection().unwrap();
    assert_eq!(*copy, set);
    assert_eq!(copy.digest(), set.digest());
    let mut other = set.clone();
    other.insert(1.5, b"member:3", LIMITS);
    assert_ne!(other.digest(), set.digest());
}

#[test]
fn memory_is_counted_and_given_back() {
    let mut set = filled(100_000);
    let full = set.heap_bytes();
    let bytes_per_member = full / 100_000;
    assert!((20..70).contains(&bytes_per_member), "{bytes_per_member}");
    let copy = set.clone();
    set.remove_ranks(10..99_990);
    assert!(set.heap_bytes() < full / 50, "{}", set.heap_bytes());
    assert_eq!(copy.len(), 100_000);
    for mut set in [set, copy] {
        let most = set.len() / 64 + 10;
        let steps = (0..100_000).take_while(|_| set.drop_part()).count();
        assert!(steps <= most, "{steps}");
    }
}
