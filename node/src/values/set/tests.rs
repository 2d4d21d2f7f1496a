//! Sets against a set of the standard library.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const LIMITS: SetLimits = SetLimits {
    integers_max: 16,
    entries_max: 8,
    bytes_max: 16,
    seed: 5,
};

fn members() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-20..20i64).prop_map(|number| number.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        2 => (0..300u32).prop_map(|number| format!("m{number}").into_bytes()),
        1 => (0..3usize).prop_map(|times| vec![b'x'; times * 30]),
        1 => prop_oneof![Just("007"), Just("-0"), Just("+1"), Just(" 1")]
            .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(128))]
    #[test]
    fn a_set_holds_what_a_set_holds(
        steps in prop::collection::vec((members(), 0..4u8), 1..400),
        only_integers: bool,
        large: bool,
    ) {
        let limits = if large {
            SetLimits { integers_max: 10_000, entries_max: 10_000, ..LIMITS }
        } else {
            LIMITS
        };
        let (mut set, mut model) = (Set::default(), BTreeSet::new());
        for (member, kind) in steps {
            if only_integers && integer(&member).is_none() {
                continue;
            }
            if kind == 0 {
                prop_assert_eq!(set.remove(&member), model.remove(&member));
            } else {
                prop_assert_eq!(set.add(&member, &limits), model.insert(member));
            }
            prop_assert_eq!(set.len(), model.len());
        }
        let found: BTreeSet<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
        prop_assert_eq!(&found, &model);
        prop_assert!(model.iter().all(|member| set.contains(member)));
        let mut visited = BTreeSet::new();
        let mut place = Some(0);
        while let Some(at) = place {
            place = set.visit(at, 7, |member| { visited.insert(member.to_vec()); });
        }
        prop_assert_eq!(&visited, &model);
        let mut again = Set::default();
        for member in model.iter().rev() {
            again.add(member, &LIMITS);
        }
        prop_assert_eq!(again.digest(), set.digest());
        prop_assert!(again == set);
    }
}

fn encoding_of(members: &[&str]) -> &'static str {
    let mut set = Set::default();
    set.expect(members[0].as_bytes(), 1, &LIMITS);
    for member in members {
        set.add(member.as_bytes(), &LIMITS);
    }
    set.encoding()
}

#[test]
fn the_encoding_is_the_one_redis_chooses() {
    let numbers: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    assert_eq!(encoding_of(&numbers[..16]), "intset");
    assert_eq!(encoding_of(&numbers), "hashtable");
    assert_eq!(encoding_of(&["1", "a"]), "listpack");
    assert_eq!(encoding_of(&["a", "1"]), "listpack");
    assert_eq!(encoding_of(&["1", "seventeen letters"]), "hashtable");
    let with_text = |count: usize| [&numbers[..count], &["a"][..]].concat();
    assert_eq!(encoding_of(&with_text(7)), "listpack");
    assert_eq!(encoding_of(&with_text(8)), "hashtable");
}

#[test]
fn the_encoding_follows_how_many_members_come_at_once() {
    let after = |first: &str, count| {
        let mut set = Set::default();
        set.expect(first.as_bytes(), count, &LIMITS);
        set.add(first.as_bytes(), &LIMITS);
        set.encoding()
    };
    assert_eq!(after("1", 16), "intset");
    assert_eq!(after("1", 17), "hashtable");
    assert_eq!(after("a", 8), "listpack");
    assert_eq!(after("a", 9), "hashtable");
}

#[test]
fn a_set_of_integers_gives_them_in_order() {
    let mut set = Set::default();
    for member in ["5", "-70000", "1", "9000000000"] {
        set.add(member.as_bytes(), &LIMITS);
    }
    let found: Vec<String> = set
        .iter()
        .map(|member| String::from_utf8(member.to_vec()).unwrap())
        .collect();
    assert_eq!(found, ["-70000", "1", "5", "9000000000"]);
    assert!(size_of::<Set>() <= 24);
}

#[test]
fn effects_of_a_large_set_come_in_bounded_pieces() {
    let mut set = Set::default();
    for number in 0..5_000 {
        set.add(format!("member:{number}").as_bytes(), &LIMITS);
    }
    let (mut place, mut pieces) = (Some(0), 0);
    while let Some(at) = place {
        let mut out = Vec::new();
        place = set.write_effects(&mut out, b"key", at);
        assert!(out.len() < 40_000);
        pieces += 1;
    }
    assert!(pieces >= 5_000 / 896, "{pieces}");
}
