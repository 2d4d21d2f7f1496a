//! The list against a `VecDeque`, whatever is done to either.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn model_of(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(<[u8]>::to_vec).collect()
}

#[derive(Debug, Clone, Copy)]
enum Step {
    PushBack(usize, u8),
    PushFront(usize, u8),
    Insert(usize, usize, u8),
    Set(usize, usize, u8),
    Remove(usize, usize),
    RemoveEqual(u8, bool, usize),
    Many(usize, bool),
    Clone,
}

/// Lengths of elements: mostly small, some as large as a chunk and larger.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        20 => 0usize..30,
        3 => 100usize..200,
        2 => 2_000usize..5_000,
        1 => 8_000usize..20_000,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0usize..3_000;
    prop_oneof![
        3 => (length(), any::<u8>()).prop_map(|(l, b)| Step::PushBack(l, b)),
        3 => (length(), any::<u8>()).prop_map(|(l, b)| Step::PushFront(l, b)),
        4 => (index.clone(), length(), any::<u8>()).prop_map(|(i, l, b)| Step::Insert(i, l, b)),
        4 => (index.clone(), length(), any::<u8>()).prop_map(|(i, l, b)| Step::Set(i, l, b)),
        4 => (index.clone(), 1usize..20).prop_map(|(i, n)| Step::Remove(i, n)),
        1 => (index.clone(), 1usize..2_000).prop_map(|(i, n)| Step::Remove(i, n)),
        1 => (0u8..3, any::<bool>(), 1usize..1_000)
            .prop_map(|(b, back, n)| Step::RemoveEqual(b, back, n)),
        2 => (1usize..1_500, any::<bool>()).prop_map(|(n, back)| Step::Many(n, back)),
        1 => Just(Step::Clone),
    ]
}

fn apply(list: &mut List, model: &mut VecDeque<Vec<u8>>, step: Step) {
    match step {
        Step::PushBack(length, byte) => {
            list.push_back(&vec![byte; length]);
            model.push_back(vec![byte; length]);
        }
        Step::PushFront(length, byte) => {
            list.push_front(&vec![byte; length]);
            model.push_front(vec![byte; length]);
        }
        Step::Insert(index, length, byte) => {
            let index = index % (model.len() + 1);
            list.insert(index, &vec![byte; length]);
            model.insert(index, vec![byte; length]);
        }
        Step::Set(index, length, byte) => {
            if model.is_empty() {
                assert!(!list.set(index, b""));
                return;
            }
            let index = index % model.len();
            assert!(list.set(index, &vec![byte; length]));
            model[index] = vec![byte; length];
        }
        Step::Remove(index, count) => {
            let index = index % (model.len() + 1);
            list.remove(index, count);
            let end = (index + count).min(model.len());
            model.drain(index..end);
        }
        Step::RemoveEqual(byte, backward, max) => {
            let mut left = max;
            let mut keep = |element: &Vec<u8>| {
                let doomed = left > 0 && *element == [byte];
                left -= usize::from(doomed);
                !doomed
            };
            if backward {
                let kept: Vec<_> = model.drain(..).rev().filter(|e| keep(e)).collect();
                model.extend(kept.into_iter().rev());
            } else {
                model.retain(keep);
            }
            let removed = max - left;
            assert_eq!(list.remove_equal(&[byte], backward, max), removed);
        }
        Step::Many(count, backward) => {
            for number in 0..count {
                let element = vec![(number % 3) as u8];
                if backward {
                    list.push_front(&element);
                    model.push_front(element);
                } else {
                    list.push_back(&element);
                    model.push_back(element);
                }
            }
        }
        Step::Clone => *list = list.clone(),
    }
}

fn check_counts(list: &List, model: &VecDeque<Vec<u8>>) {
    assert_eq!(list.len(), model.len());
    let listpack: u64 = model
        .iter()
        .map(|e| u64::from(listpack::entry_bytes(e)))
        .sum();
    assert_eq!(list.listpack_bytes(), listpack);
    let payload: usize = model.iter().map(Vec::len).sum();
    assert!(list.heap_bytes() >= payload as u64);
    let Body::Large(parts) = &list.body else {
        return;
    };
    for place in 0..parts.places() {
        let chunk = parts.chunk(place).unwrap();
        assert!(chunk.len() > 0, "empty chunk");
        assert!(
            chunk.len() == 1 || chunk.live_bytes() <= chunk::CHUNK_BYTES_MAX,
            "chunk of {} elements, {} bytes",
            chunk.len(),
            chunk.live_bytes()
        );
        assert!(chunk.len() <= chunk::CHUNK_ELEMENTS_MAX);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_list_is_a_sequence_and_its_clones_do_not_change(
        steps in proptest::collection::vec(step(), 1..60),
        probes in proptest::collection::vec(0usize..5_000, 8),
    ) {
        let (mut list, mut model) = (List::default(), VecDeque::new());
        let mut clones = Vec::new();
        for step in steps {
            if matches!(step, Step::Clone) {
                clones.push((list.clone(), model.clone()));
            }
            apply(&mut list, &mut model, step);
            check_counts(&list, &model);
        }
        clones.push((list, model));
        for (list, model) in clones {
            prop_assert!(list.iter().eq(model.iter().map(Vec::as_slice)));
            for &index in &probes {
                prop_assert_eq!(list.get(index), model.get(index).map(Vec::as_slice));
                if index < model.len() {
                    prop_assert!(list.iter_from(index).eq(model.range(index..).map(Vec::as_slice)));
                    let backward = model.range(..=index).rev().map(Vec::as_slice);
                    prop_assert!(list.iter_back_from(index).eq(backward));
                }
            }
        }
    }
}

#[test]
fn a_long_list_takes_little_more_than_its_elements() {
    for forward in [true, false] {
        let mut list = List::default();
        for number in 0..100_000 {
            let element = format!("element:{number:012}");
            if forward {
                list.push_back(element.as_bytes());
            } else {
                list.push_front(element.as_bytes());
            }
        }
        let each = list.heap_bytes() as f64 / list.len() as f64;
        assert!(each < 23.0, "{each}");
    }
}

#[test]
fn a_list_drained_from_either_end_becomes_small_again() {
    for from_front in [true, false] {
        let mut list = List::default();
        for number in 0..5_000 {
            list.push_back(format!("{number}").as_bytes());
        }
        while list.len() > 3 {
            list.remove(if from_front { 0 } else { list.len() - 1 }, 1);
        }
        assert!(matches!(list.body, Body::Small(_)));
        let expect: [&[u8]; 3] = if from_front {
            [b"4997", b"4998", b"4999"]
        } else {
            [b"0", b"1", b"2"]
        };
        assert_eq!(model_of(&list), expect);
    }
}

#[test]
fn equal_lists_have_equal_digests_and_their_order_counts() {
    let (mut one, mut other) = (List::default(), List::default());
    for number in 0..3_000 {
        one.push_back(number.to_string().as_bytes());
        other.push_front((2_999 - number).to_string().as_bytes());
    }
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one, other);
    let last = one.get(2_999).unwrap().to_vec();
    one.remove(2_999, 1);
    one.push_front(&last);
    assert_ne!(one.digest(), other.digest());
    assert_ne!(one, other);
}

#[test]
fn effects_are_written_in_bounded_pieces() {
    let mut list = List::default();
    for number in 0..10_000 {
        list.push_back(format!("element:{number}").as_bytes());
    }
    let (mut place, mut pieces) = (Some(0), 0);
    while let Some(at) = place {
        let mut out = Vec::new();
        place = list.write_effects(&mut out, b"key", at);
        assert!(out.len() < 32_768, "{}", out.len());
        pieces += 1;
    }
    assert!(pieces > 10);
    let mut steps = 1;
    while list.drop_part() {
        steps += 1;
    }
    assert!(steps > 1);
}
