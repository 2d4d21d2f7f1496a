//! The table against the collections of the standard library.

use super::aisle::Shelf;
use super::part::{BYTES_MAX, ITEMS_MAX};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn name(number: u32) -> Vec<u8> {
    format!("member:{number}").into_bytes()
}

fn filled(count: u32) -> Table<true> {
    let mut table = Table::new(11);
    for number in 0..count {
        assert_eq!(
            table.insert(&name(number), &number.to_le_bytes()),
            Insertion::Added
        );
    }
    table
}

fn shelves<const PAYLOAD: bool>(table: &Table<PAYLOAD>) -> impl Iterator<Item = &Shelf<PAYLOAD>> {
    table.aisles.iter().flat_map(|aisle| &aisle.shelves)
}

/// The counter of bytes counted anew.
fn counted_bytes<const PAYLOAD: bool>(table: &Table<PAYLOAD>) -> usize {
    shelves(table).map(|shelf| shelf.part.heap_bytes()).sum()
}

fn check<const PAYLOAD: bool>(table: &Table<PAYLOAD>, model: &Model) {
    assert_eq!(table.len(), model.len());
    let found: Model = table
        .iter()
        .map(|(member, payload)| (member.to_vec(), payload.to_vec()))
        .collect();
    assert_eq!(&found, model);
    assert_eq!(table.part_bytes, counted_bytes(table));
    let aisles = table.aisles.iter().map(|aisle| aisle.heap_bytes());
    assert_eq!(table.aisle_bytes, aisles.sum::<usize>());
    for shelf in shelves(table) {
        assert!(shelf.part.len() <= ITEMS_MAX);
        assert!(shelf.part.len() < 2 || shelf.part.live_bytes() <= BYTES_MAX);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u32, usize),
    Remove(u32),
    Clone,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lengths = prop_oneof![Just(0usize), 1..40usize, 120..140usize, 2000..30_000usize];
    let step = prop_oneof![
        6 => (0..400u32, lengths).prop_map(|(number, length)| Step::Insert(number, length)),
        3 => (0..400u32).prop_map(Step::Remove),
        1 => Just(Step::Clone),
    ];
    prop::collection::vec(step, 1..600)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(48))]
    #[test]
    fn a_table_holds_what_a_map_holds(steps in steps(), seed: u64) {
        let (mut table, mut model) = (Table::<true>::new(seed), Model::new());
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Step::Insert(number, length) => {
                    let (member, payload) = (name(number), vec![number as u8; length]);
                    let expect = match model.insert(member.clone(), payload.clone()) {
                        None => Insertion::Added,
                        Some(old) if old == payload => Insertion::Same,
                        Some(_) => Insertion::Changed,
                    };
                    prop_assert_eq!(table.insert(&member, &payload), expect);
                }
                Step::Remove(number) => {
                    let member = name(number);
                    prop_assert_eq!(table.remove(&member), model.remove(&member).is_some());
                }
                Step::Clone if kept.len() < 3 => kept.push((table.clone(), model.clone())),
                Step::Clone => {}
            }
        }
        check(&table, &model);
        for (table, model) in &kept {
            check(table, model);
        }
    }
}

#[test]
fn a_large_table_grows_and_shrinks_with_its_members() {
    let mut table = filled(60_000);
    let full_bytes = table.heap_bytes();
    assert!(shelves(&table).count() > 60);
    for number in 0..60_000 {
        assert_eq!(
            table.get(&name(number)),
            Some(&number.to_le_bytes()[..]),
            "{number}"
        );
    }
    for number in 0..59_900 {
        assert!(table.remove(&name(number)));
    }
    assert_eq!(table.len(), 100);
    assert!(
        shelves(&table).count() < 8,
        "{} parts",
        shelves(&table).count()
    );
    assert!(table.heap_bytes() < full_bytes / 50);
    check(
        &table,
        &(59_900..60_000u32)
            .map(|number| (name(number), number.to_le_bytes().to_vec()))
            .collect(),
    );
    while table.drop_part() {}
    assert_eq!((table.len(), table.part_bytes), (0, 0));
}

#[test]
fn members_that_stay_are_visited_while_others_come_and_go() {
    for count in [1, 10, 5_000] {
        let mut table = filled(5_000);
        let mut seen = BTreeSet::new();
        let (mut place, mut round) = (Some(0), 0u32);
        while let Some(at) = place {
            place = table.visit(at, count, |member, _| {
                seen.insert(member.to_vec());
            });
            if round < 100 {
                for number in 0..200 {
                    table.insert(format!("goes:{round}:{number}").as_bytes(), b"");
                }
            } else if round < 150 {
                for number in 0..400 {
                    let gone = (round - 100) * 2 + number / 200;
                    table.remove(format!("goes:{gone}:{}", number % 200).as_bytes());
                }
            }
            round += 1;
            assert!(round < 200_000);
        }
        let stayed = seen
            .iter()
            .filter(|member| member.starts_with(b"member:"))
            .count();
        assert_eq!(stayed, 5_000, "steps of {count}");
    }
}

#[test]
fn a_step_of_a_visit_takes_about_as_many_as_asked_for() {
    let table = filled(3_000);
    let mut place = Some(0);
    let mut total = 0;
    while let Some(at) = place {
        let mut met = 0;
        place = table.visit(at, 10, |_, _| met += 1);
        assert!(met <= 10, "{met}");
        total += met;
    }
    assert_eq!(total, 3_000);
}

#[test]
fn random_picks_are_even() {
    for count in [5, 100, 3_000] {
        let table = filled(count);
        let mut state = 7;
        let mut picked: HashMap<Vec<u8>, u32> = HashMap::new();
        let rounds = count * 50;
        for _ in 0..rounds {
            let (member, _) = table.random(next_random(&mut state)).unwrap();
            *picked.entry(member.to_vec()).or_default() += 1;
        }
        assert_eq!(picked.len(), count as usize);
        let chi_square: f64 = picked
            .values()
            .map(|&times| (f64::from(times) - 50.0).powi(2) / 50.0)
            .sum();
        let freedom = f64::from(count - 1);
        let bound = freedom + 5.0 * (2.0 * freedom).sqrt() + 10.0;
        assert!(chi_square < bound, "{count} members: {chi_square}");
    }
}

#[test]
fn a_hundred_huge_members_have_parts_of_their_own() {
    let mut table = Table::<false>::new(3);
    for number in 0..100u32 {
        let mut member = vec![b'x'; 100_000];
        member.extend(number.to_le_bytes());
        table.insert(&member, &[]);
    }
    for shelf in shelves(&table) {
        assert!(shelf.part.len() <= 1);
    }
    assert_eq!(table.iter().count(), 100);
    assert!(table.random(1).is_some());
}

#[test]
fn a_hundred_thousand_short_members_take_few_bytes_each() {
    let mut table = Table::<false>::new(3);
    for number in 0..100_000u32 {
        table.insert(format!("{number:020}").as_bytes(), &[]);
    }
    let each = table.heap_bytes() / 100_000;
    assert!(each <= 38, "{each} bytes");
}

#[test]
fn times_that_have_come_are_found_part_by_part() {
    let mut table = Table::new(5);
    for number in 0..4_000u32 {
        table.insert_time(&name(number), u64::from(number));
    }
    assert_eq!(table.earliest_ms(), 0);
    let mut due = Vec::new();
    loop {
        let found = table.due(2_999, 100);
        assert!(found.len() <= 100 + ITEMS_MAX);
        if found.is_empty() {
            break;
        }
        for member in found {
            assert!(table.remove(&member));
            due.push(member);
        }
    }
    assert_eq!((due.len(), table.len()), (3_000, 1_000));
    assert_eq!(table.earliest_ms(), 3_000);
    assert_eq!(table.time(&name(3_500)), Some(3_500));
}

#[test]
fn aisles_of_a_large_table_are_split_and_joined_and_shared_with_a_clone() {
    let mut table: Table<true> = Table::new(11);
    for number in 0..120_000 {
        table.insert_time(&name(number), u64::from(number));
    }
    assert!(table.aisles.len() > 1, "{}", table.aisles.len());
    let clone = table.clone();
    for number in (0..120_000).filter(|number| number % 1000 > 0) {
        assert_eq!(table.time(&name(number)), Some(u64::from(number)));
        assert!(table.remove(&name(number)));
    }
    let kept = (0..120_000).step_by(1000);
    let model: Model = kept
        .map(|number| (name(number), u64::from(number).to_le_bytes().to_vec()))
        .collect();
    check(&table, &model);
    assert_eq!(table.aisles.len(), 1);
    assert_eq!((clone.len(), clone.iter().count()), (120_000, 120_000));
    let mut seen = 0;
    let mut place = Some(0);
    while let Some(at) = place {
        place = clone.visit(at, 100, |_, _| seen += 1);
    }
    assert_eq!(seen, 120_000);
}

#[test]
fn members_whose_time_has_come_are_found_in_every_aisle() {
    let mut table: Table<true> = Table::new(5);
    for number in 0..120_000 {
        table.insert_time(&name(number), 10 + u64::from(number % 10));
    }
    let mut found = 0;
    while table.earliest_ms() <= 12 {
        for member in table.due(12, 5_000) {
            assert!(table.remove(&member));
            found += 1;
        }
    }
    assert_eq!(found, 36_000);
    assert_eq!(table.earliest_ms(), 13);
}
