//! Hashes against a map of fields, values and expiries.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const LIMITS: HashLimits = HashLimits {
    entries_max: 8,
    bytes_max: 64,
    seed: 9,
};

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

#[derive(Debug, Clone)]
enum Step {
    Set(u16, usize),
    Remove(u16),
    Expire(u16, u64),
    Persist(u16),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let field = || 0..300u16;
    let step = prop_oneof![
        6 => (field(), 0..70usize).prop_map(|(field, length)| Step::Set(field, length)),
        2 => field().prop_map(Step::Remove),
        2 => (field(), 1..1000u64).prop_map(|(field, at)| Step::Expire(field, at)),
        1 => field().prop_map(Step::Persist),
        1 => (0..1000u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..500)
}

fn name(number: u16) -> Vec<u8> {
    format!("field:{number}").into_bytes()
}

/// Does a step in both.
fn apply(step: &Step, hash: &mut Hash, model: &mut Model, limits: &HashLimits) {
    match *step {
        Step::Set(number, length) => {
            let (field, value) = (name(number), vec![b'v'; length]);
            let outcome = hash.set(&field, &value, limits);
            let expiry = model.get(&field).and_then(|(_, expiry)| *expiry);
            let old = model.insert(field, (value.clone(), expiry));
            let expect = match old {
                None => Insertion::Added,
                Some((old, _)) if old == value => Insertion::Same,
                Some(_) => Insertion::Changed,
            };
            assert_eq!(outcome, expect);
        }
        Step::Remove(number) => {
            let field = name(number);
            assert_eq!(hash.remove(&field), model.remove(&field).is_some());
        }
        Step::Expire(number, at) => {
            if let Some((_, expiry)) = model.get_mut(&name(number)) {
                hash.set_expiry(&name(number), at, limits);
                *expiry = Some(at);
            }
        }
        Step::Persist(number) => {
            let old = model
                .get_mut(&name(number))
                .and_then(|(_, expiry)| expiry.take());
            assert_eq!(hash.remove_expiry(&name(number)), old.is_some());
        }
        Step::Pass(now_ms) => {
            while !hash.remove_expired(now_ms, 10).is_empty() {}
            model.retain(|_, (_, expiry)| expiry.is_none_or(|at| at > now_ms));
            assert!(!hash.may_have_expired(now_ms));
        }
    }
}

fn contents(hash: &Hash) -> Model {
    hash.iter()
        .map(|(field, value)| (field.to_vec(), (value.to_vec(), hash.expiry(field))))
        .collect()
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn a_hash_holds_what_a_map_holds(steps in steps(), few: bool) {
        let limits = HashLimits { entries_max: if few { 8 } else { 512 }, ..LIMITS };
        let (mut hash, mut model) = (Hash::default(), Model::new());
        for step in &steps {
            apply(step, &mut hash, &mut model, &limits);
            prop_assert_eq!(hash.len(), model.len());
        }
        prop_assert_eq!(&contents(&hash), &model);
        for (field, (value, expiry)) in &model {
            prop_assert_eq!(hash.get(field), Some(value.as_slice()));
            let live = hash.get_live(field, 500).is_some();
            prop_assert_eq!(live, expiry.is_none_or(|at| at > 500));
        }
        let live = model.values().filter(|(_, expiry)| expiry.is_none_or(|at| at > 500));
        prop_assert_eq!(hash.live(500).count(), live.count());
        // What was built in another order, and without what came and went, is the same.
        let mut again = Hash::default();
        for (field, (value, expiry)) in model.iter().rev() {
            again.set(field, value, &LIMITS);
            if let Some(at) = expiry {
                again.set_expiry(field, *at, &LIMITS);
            }
        }
        prop_assert_eq!(again.digest(), hash.digest());
        prop_assert!(again == hash);
    }
}

#[test]
fn a_small_hash_keeps_the_order_of_its_fields() {
    let mut hash = Hash::default();
    for field in ["b", "a", "c"] {
        hash.set(field.as_bytes(), b"1", &LIMITS);
    }
    hash.set(b"a", b"longer", &LIMITS);
    let fields: Vec<&[u8]> = hash.iter().map(|(field, _)| field).collect();
    assert_eq!(fields, [b"b", b"a", b"c"]);
}

#[test]
fn a_hash_within_raised_limits_keeps_the_order_of_its_fields() {
    let limits = HashLimits {
        entries_max: 1_000,
        bytes_max: 1_000_000,
        ..LIMITS
    };
    let mut hash = Hash::default();
    for (field, length) in [("b", 31), ("a", 8_191), ("c", 65_535), ("0", 1)] {
        hash.set(field.as_bytes(), &vec![b'x'; length], &limits);
    }
    let fields: Vec<&[u8]> = hash.iter().map(|(field, _)| field).collect();
    assert_eq!(fields, [b"b", b"a", b"c", b"0"]);
    hash.set(b"d", &vec![b'x'; 100_000], &limits);
    assert_eq!((hash.encoding(), hash.len()), ("listpack", 5));
}

#[test]
fn the_encoding_follows_the_limits_and_never_goes_back() {
    let mut hash = Hash::default();
    assert_eq!(hash.encoding(), "listpack");
    for number in 0..8 {
        hash.set(&name(number), b"v", &LIMITS);
    }
    assert_eq!(hash.encoding(), "listpack");
    hash.set(b"nine", b"v", &LIMITS);
    assert_eq!(hash.encoding(), "hashtable");
    for number in 0..8 {
        hash.remove(&name(number));
    }
    assert_eq!((hash.len(), hash.encoding()), (1, "hashtable"));

    let mut hash = Hash::default();
    hash.set(b"f", &[b'v'; 64], &LIMITS);
    assert_eq!(hash.encoding(), "listpack");
    hash.set_expiry(b"f", 5, &LIMITS);
    assert_eq!(hash.encoding(), "listpackex");
    hash.set(&[b'f'; 65], b"", &LIMITS);
    assert_eq!(hash.encoding(), "hashtable");
}

#[test]
fn what_is_too_large_for_one_allocation_still_counts_as_compact() {
    let limits = HashLimits {
        entries_max: 5_000,
        ..LIMITS
    };
    let mut hash = Hash::default();
    for number in 0..5_000 {
        hash.set(&name(number), b"v", &limits);
    }
    assert!(matches!(hash.0, Layout::Large(_)));
    assert_eq!(hash.encoding(), "listpack");
}

#[test]
fn five_short_fields_take_one_small_allocation() {
    let mut hash = Hash::default();
    for number in 0..5 {
        hash.set(format!("f{number}").as_bytes(), b"12345678", &LIMITS);
    }
    assert_eq!(hash.heap_bytes(), 64);
    assert!(size_of::<Hash>() <= 16);
}

#[test]
fn a_large_hash_is_freed_part_by_part() {
    let mut hash = Hash::default();
    for number in 0..10_000 {
        hash.set(&name(number), b"v", &LIMITS);
        hash.set_expiry(&name(number), 7, &LIMITS);
    }
    let mut steps = 1;
    while hash.drop_part() {
        steps += 1;
    }
    assert!(steps > 20, "{steps}");
}
