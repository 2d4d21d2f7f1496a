//! Files read back, whatever they hold and however they are cut.

use super::*;
use crate::execute::config::Encodings;
use crate::keyspace::Keyspace;
use crate::keyspace::entry::Value;
use crate::keyspace::walk::WalkFormat;
use crate::values::Collection;
use crate::values::hash::{Hash, HashLimits};
use crate::values::list::List;
use crate::values::set::{Set, SetLimits};
use crate::values::sorted::{self, SortedSet};
use crate::values::stream::{self, Group, Pending, Stream, StreamId};
use protocol::slots::SlotSet;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

fn limits() -> Limits {
    Limits {
        encodings: Encodings::default(),
        seed: 5,
    }
}

fn file_of(keyspace: &mut Keyspace) -> Vec<u8> {
    let mut file = Vec::new();
    write_header(&mut file, &[("redis-ver", "7.2.0")]);
    let walk = keyspace.start_walk(SlotSet::all(), WalkFormat::Rdb);
    while !keyspace.walk_mut(walk).unwrap().is_complete() {
        keyspace.step_walk(walk, 10);
        file.extend(keyspace.walk_mut(walk).unwrap().take_output());
    }
    keyspace.end_walk(walk);
    let mut checksum = RdbChecksum::default();
    write_footer(&mut file, &mut checksum);
    file
}

fn load(file: &[u8], piece: usize) -> Result<Keyspace, RdbError> {
    let mut keyspace = Keyspace::new(9);
    let mut reader = RdbReader::default();
    let mut ended = false;
    for part in file.chunks(piece) {
        reader.feed(part);
        while let Some(item) = reader.next_item(&limits())? {
            match item {
                RdbItem::Entry {
                    key,
                    value,
                    expires_at_ms,
                } => {
                    let hashed = keyspace.hashed(&key);
                    keyspace.insert(&hashed, value, expires_at_ms, 0);
                }
                RdbItem::Aux { .. } | RdbItem::Function { .. } => {}
                RdbItem::End => ended = true,
            }
        }
    }
    assert!(ended, "the end was not reached");
    Ok(keyspace)
}

fn sample() -> Keyspace {
    let mut keyspace = Keyspace::new(2);
    let long = "x".repeat(70_000);
    let values = [
        "",
        "1",
        "-129",
        "70000",
        "-9223372036854775808",
        "text",
        &long,
    ];
    for (index, value) in values.iter().enumerate() {
        let name = format!("key:{index}");
        let hashed = keyspace.hashed(name.as_bytes());
        let expires_at_ms = (index % 2 == 0).then_some(4_000_000_000_000);
        keyspace.insert(&hashed, Value::string(value.as_bytes()), expires_at_ms, 0);
    }
    for (index, value) in collections().into_iter().enumerate() {
        let name = format!("collection:{index}");
        let hashed = keyspace.hashed(name.as_bytes());
        let expires_at_ms = (index % 2 == 0).then_some(4_000_000_000_000);
        keyspace.insert(&hashed, value, expires_at_ms, 0);
    }
    keyspace
}

fn text(prefix: &str, number: usize) -> Vec<u8> {
    format!("{prefix}{number}").into_bytes()
}

/// A hash of so many fields, some of which expire if asked for.
fn hash(count: usize, expiring: bool) -> Value {
    let limits = HashLimits {
        entries_max: 512,
        bytes_max: 64,
        seed: 3,
    };
    let mut hash = Hash::default();
    for number in 0..count {
        let field = text("field", number);
        hash.set(&field, &text("", number * 1000), &limits);
        if expiring && number % 3 == 0 {
            hash.set_expiry(&field, 4_000_000_000_000 + number as u64, &limits);
        }
    }
    hash.wrap()
}

fn set(count: usize, prefix: &str) -> Value {
    let limits = SetLimits {
        integers_max: 512,
        entries_max: 128,
        bytes_max: 64,
        seed: 3,
    };
    let mut set = Set::default();
    for number in 0..count {
        set.add(&text(prefix, number), &limits);
    }
    set.wrap()
}

fn sorted(count: usize) -> Value {
    let limits = sorted::Limits {
        entries: 128,
        member_bytes: 64,
    };
    let mut set = SortedSet::default();
    set.insert(f64::NEG_INFINITY, b"least", limits);
    for number in 0..count {
        set.insert(number as f64 / 7.0, &text("member", number), limits);
    }
    set.wrap()
}

fn list(count: usize) -> Value {
    let mut list = List::default();
    for number in 0..count {
        list.push_back(&text(if number % 2 == 0 { "" } else { "element" }, number));
    }
    list.wrap()
}

/// A stream of so many entries with gaps, and groups with pending entries.
fn stream(count: u64) -> Value {
    let mut stream = Stream::default();
    let limits = stream::Limits::new(4096, 100);
    for number in 0..count {
        let value = text("value", number as usize);
        let mut pairs = vec![&b"field"[..], &value, b"number", b"12345"];
        if number % 5 == 0 {
            pairs.truncate(2);
        }
        stream
            .entries
            .push(StreamId::new(1 + number / 7, number), &pairs, limits);
    }
    stream.entries.delete(StreamId::new(1, 1));
    for name in [&b"first"[..], b"second"] {
        let mut group = Group::new(StreamId::new(1, 2), (name == b"first").then_some(3));
        let (alice, _) = group.consumer_or_new(b"alice", 500);
        let (bob, _) = group.consumer_or_new(b"bob", 600);
        group.consumer_or_new(b"idle", 700);
        for number in 0..count {
            let pending = Pending {
                delivered_ms: 1000 + number,
                deliveries: 1 + number % 3,
                consumer: if number % 2 == 0 { alice } else { bob },
            };
            group.deliver(StreamId::new(1 + number / 7, number), pending);
        }
        stream.add_group(name, group);
    }
    stream.add_group(b"third", Group::new(StreamId::MIN, None));
    stream.wrap()
}

/// Small and large collections of every type.
fn collections() -> Vec<Value> {
    let mut values = Vec::new();
    for count in [1, 100, 3_000] {
        values.extend([hash(count, false), hash(count, true)]);
        values.extend([
            set(count, ""),
            set(count, "member"),
            sorted(count),
            list(count),
            stream(count as u64),
        ]);
    }
    values
}

#[test]
fn a_file_reads_back_however_it_is_cut() {
    let mut keyspace = sample();
    let file = file_of(&mut keyspace);
    for piece in [7, 4096, file.len()] {
        assert_eq!(
            load(&file, piece).unwrap().digest(),
            keyspace.digest(),
            "{piece}"
        );
    }
}

#[test]
fn a_flipped_bit_is_found() {
    let mut file = file_of(&mut sample());
    let text = file.windows(9).position(|bytes| bytes == b"xxxxxxxxx");
    file[text.unwrap()] ^= 1;
    assert!(matches!(load(&file, 4096), Err(RdbError::Checksum { .. })));
}

/// A payload with this body, in a version.
fn payload(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = body.to_vec();
    payload.extend_from_slice(&version.to_le_bytes());
    let mut checksum = RdbChecksum::default();
    checksum.update(&payload);
    payload.extend_from_slice(&checksum.value().to_le_bytes());
    payload
}

#[test]
fn values_survive_dump_and_restore() {
    for value in collections() {
        let restored = restore(&dump(value.as_ref()), &limits()).unwrap();
        assert_eq!(restored, value);
    }
}

#[test]
fn a_payload_of_another_version_or_with_a_wrong_checksum_is_refused() {
    let body = b"\x00\x01a";
    for version in [1, 10, 11, 12, 13, 80] {
        let value = restore(&payload(body, version), &limits());
        assert_eq!(value, Ok(Value::string(b"a")), "{version}");
    }
    for version in [14, 79, 81] {
        let value = restore(&payload(body, version), &limits());
        assert_eq!(value, Err(DumpError::Footer), "{version}");
    }
    let mut wrong = payload(body, 10);
    wrong[2] ^= 1;
    assert_eq!(restore(&wrong, &limits()), Err(DumpError::Footer));
    assert_eq!(restore(b"", &limits()), Err(DumpError::Footer));
}

#[test]
fn bodies_that_make_no_sense_are_refused() {
    let cases: [&[u8]; 14] = [
        b"",
        b"\x00",
        b"\x00\x01ab",
        b"\x63",
        b"\x07\x00",
        // No items, or the same twice.
        b"\x02\x00",
        b"\x04\x00",
        b"\x02\x02\x01a\x01a",
        b"\x04\x02\x01a\x01b\x01a\x01c",
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
        b"\x03\x01\x01a\xfd",
        // Many more than there are.
        b"\x04\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x01b",
        b"\x12\x01\x03\x01a",
        b"\x0b\x09\x02\0\0\0\x02\0\0\0\x05",
    ];
    for body in cases {
        let outcome = restore(&payload(body, 10), &limits());
        assert!(
            matches!(outcome, Err(DumpError::Format(_))),
            "{body:?}: {outcome:?}"
        );
    }
}

#[test]
fn no_damage_makes_reading_panic() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(8);
    for value in collections() {
        let dumped = dump(value.as_ref());
        let body = &dumped[..dumped.len() - 10];
        for _ in 0..30 {
            let mut body = body.to_vec();
            for _ in 0..3 {
                let at = random.next_u64() as usize % body.len().min(200);
                body[at] = random.next_u64() as u8;
            }
            // Whether it is refused depends on what was hit.
            let _ = restore(&payload(&body, 10), &limits());
        }
    }
}

#[test]
fn older_and_newer_forms_are_read() {
    let check = |body: &[u8], version, expected: &Value| {
        let restored = restore(&payload(body, version), &limits());
        assert_eq!(restored.as_ref(), Ok(expected), "{body:?}");
    };
    let mut list = List::default();
    for element in [&b"ab"[..], b"2", b"-123", b"-32768"] {
        list.push_back(element);
    }
    let list = list.wrap();
    let ziplist = b"\x18\x18\0\0\0\x13\0\0\0\x04\0\0\x02ab\x04\xf3\x02\xfe\x85\x03\xc0\x00\x80\xff";
    check(&[&b"\x0a"[..], ziplist].concat(), 1, &list);
    check(&[&b"\x0e\x01"[..], ziplist].concat(), 7, &list);
    let plain = b"\x01\x04\x02ab\xc0\x02\xc0\x85\xc1\x00\x80";
    check(plain, 1, &list);
    let limits = HashLimits {
        entries_max: 512,
        bytes_max: 64,
        seed: 1,
    };
    let mut hash = Hash::default();
    hash.set(b"foo", b"bar", &limits);
    hash.set(b"hello", b"world", &limits);
    let zipmap = b"\x09\x1a\x02\x03foo\x03\x02bar--\x05hello\x05\x00world\xff";
    check(zipmap, 1, &hash.clone().wrap());
    hash.set_expiry(b"foo", 5_000, &limits);
    let hash = hash.wrap();
    let never = [0xff; 8];
    let valkey = [
        &b"\x16\x02\x03foo\x03bar\x88\x13\0\0\0\0\0\0\x05hello\x05world"[..],
        &never,
    ];
    check(&valkey.concat(), 80, &hash);
    check(
        b"\x16\x02\x53\x88\x03foo\x03bar\x00\x05hello\x05world",
        12,
        &hash,
    );
    let earliest = b"\x18\x88\x13\0\0\0\0\0\0";
    let relative = b"\x02\x01\x03foo\x03bar\x00\x05hello\x05world";
    check(&[&earliest[..], relative].concat(), 12, &hash);
    let mut sorted = SortedSet::default();
    sorted.insert(
        1.5,
        b"a",
        sorted::Limits {
            entries: 9,
            member_bytes: 9,
        },
    );
    check(b"\x03\x01\x01a\x031.5", 1, &sorted.wrap());
}

#[test]
fn functions_slots_and_hints_may_stand_between_keys() {
    let mut file = Vec::new();
    write_header(&mut file, &[]);
    write_function(&mut file, b"code");
    file.extend_from_slice(b"\xf4\x05\x01\x00\xfb\x01\x00\xf8\x07\x00\x01a\x01b");
    write_footer(&mut file, &mut RdbChecksum::default());
    let mut reader = RdbReader::default();
    reader.feed(&file);
    let function = reader.next_item(&limits()).unwrap();
    assert_eq!(
        function,
        Some(RdbItem::Function {
            code: b"code".to_vec()
        })
    );
    let entry = reader.next_item(&limits()).unwrap();
    assert!(matches!(entry, Some(RdbItem::Entry { key, .. }) if key == b"a"));
    assert_eq!(reader.next_item(&limits()), Ok(Some(RdbItem::End)));
}
