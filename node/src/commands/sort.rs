//! SORT: elements of a list, set or sorted set in an order that weights under other keys may give.

use super::Group::Generic;
use super::access::Access;
use super::flag::{DANGEROUS, DENY_OOM, READ, WRITE};
use super::key_spec::{Begin, Find, KeySpec, key};
use super::lists::limit;
use super::sort_patterns::{Pattern, weight};
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, WRONG_TYPE, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::keyspace::entry::{EntryRef, ValueRef};
use crate::values::Collection;
use crate::values::list::List;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::ops::Range;

pub const COMMANDS: &[Command] = &[
    command(
        "sort",
        -2,
        Generic,
        "1.0.0",
        "Sorts the elements of a list, set or sorted set, and may store them.",
        answers!(|context, arguments| sort(context, arguments, true)),
    )
    .key_specs(&[
        key("RO access", 1),
        PATTERNS,
        KeySpec {
            flags: "OW update",
            begin: Begin::Unknown,
            find: Find::Function(find_destination),
        },
    ])
    .key_range(1, 1, 1)
    .syntax(
        "key [BY by-pattern:pattern:pattern] [LIMIT (offset count)] \
         [GET get-pattern:pattern:pattern]... [order=ASC|DESC] [ALPHA] [STORE destination:key]",
    )
    .flags(WRITE | DENY_OOM | DANGEROUS)
    .category("set|sortedset|list|dangerous"),
    command(
        "sort_ro",
        -2,
        Generic,
        "7.0.0",
        "Sorts the elements of a list, set or sorted set.",
        answers!(|context, arguments| sort(context, arguments, false)),
    )
    .key_specs(&[key("RO access", 1), PATTERNS])
    .key_range(1, 1, 1)
    .syntax(
        "key [BY by-pattern:pattern:pattern] [LIMIT (offset count)] \
         [GET get-pattern:pattern:pattern]... [order=ASC|DESC] [ALPHA]",
    )
    .flags(READ | DANGEROUS)
    .category("set|sortedset|list|dangerous"),
];

/// Keys that `BY` and `GET` make of the elements.
const PATTERNS: KeySpec = KeySpec {
    flags: "RO access",
    begin: Begin::Unknown,
    find: Find::Unknown,
};

/// The position of the key after the last `STORE` that is no value of another option.
fn find_destination(arguments: &[&[u8]], found: &mut SmallVec<[usize; 8]>) {
    let mut destination = None;
    let mut at = 2;
    while at < arguments.len() {
        let is = |name: &[u8]| arguments[at].eq_ignore_ascii_case(name);
        if is(b"LIMIT") {
            at += 2;
        } else if is(b"GET") || is(b"BY") {
            at += 1;
        } else if is(b"STORE") && at + 1 < arguments.len() {
            destination = Some(at + 1);
        }
        at += 1;
    }
    found.extend(destination);
}

#[derive(Default)]
struct Request<'a> {
    /// What the order depends on; the element itself without it.
    by: Option<Pattern<'a>>,
    /// `BY` something that is the same for all elements: they keep their order.
    unsorted: bool,
    offset: i64,
    count: Option<i64>,
    get: Vec<Pattern<'a>>,
    descending: bool,
    alphabetic: bool,
    destination: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn parse(context: &Context, arguments: &[&'a [u8]], may_store: bool) -> Result<Self, Failure> {
        let mut request = Self::default();
        let slot = context.hashed(arguments[1]).slot;
        let is_cluster = context.engine.view.is_cluster();
        let user = &context.session.user;
        let may_read_all = user.permits_any_key(context.command, arguments, Access::READ);
        let allowed = |option: &str, text: &[u8]| {
            if is_cluster && !Pattern::stays_in(text, slot) {
                return Err(Failure::from(format!(
                    "ERR {option} option of SORT denied in cluster mode when keys formed by the \
                     pattern may be in different slots."
                )));
            }
            if !may_read_all {
                return Err(Failure::from(format!(
                    "ERR {option} option of SORT denied due to insufficient ACL permissions."
                )));
            }
            Ok(())
        };
        let mut words = arguments[2..].iter();
        while let Some(word) = words.next() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let left = words.as_slice();
            match left {
                _ if is("ASC") => request.descending = false,
                _ if is("DESC") => request.descending = true,
                _ if is("ALPHA") => request.alphabetic = true,
                [offset, count, rest @ ..] if is("LIMIT") => {
                    request.offset = integer(offset)?;
                    request.count = Some(integer(count)?);
                    words = rest.iter();
                }
                [key, rest @ ..] if may_store && is("STORE") => {
                    request.destination = Some(key);
                    words = rest.iter();
                }
                [text, rest @ ..] if is("BY") => {
                    request.by = Some(Pattern::parse(text));
                    if Pattern::is_constant(text) {
                        request.unsorted = true;
                    } else {
                        allowed("BY", text)?;
                    }
                    words = rest.iter();
                }
                [text, rest @ ..] if is("GET") => {
                    allowed("GET", text)?;
                    request.get.push(Pattern::parse(text));
                    words = rest.iter();
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        Ok(request)
    }

    /// Which of so many elements are asked for.
    fn range(&self, length: usize) -> Range<usize> {
        let clamped = |value: i64| usize::try_from(value).unwrap_or(0).min(length);
        let start = clamped(self.offset);
        match self.count {
            Some(count) if count >= 0 => start..(start + clamped(count)).min(length),
            _ => start..length,
        }
    }
}

type Element = Box<[u8]>;

/// The elements to sort, in their own order.
struct Elements {
    list: Vec<Element>,
    are_of_set: bool,
}

fn sort(context: &mut Context, arguments: &[&[u8]], may_store: bool) -> Result<(), Failure> {
    let mut request = Request::parse(context, arguments, may_store)?;
    let key = context.hashed(arguments[1]);
    let Elements {
        list: mut elements,
        are_of_set,
    } = elements(context, &key, &request)?;
    // A set has no order of its own: what is stored, and what a script gets, must not depend on how
    // it lies in memory.
    let matters = request.destination.is_some() || context.engine.in_script;
    if request.unsorted && are_of_set && matters {
        (request.unsorted, request.alphabetic, request.by) = (false, true, None);
    }
    let range = if request.unsorted && !are_of_set {
        0..elements.len()
    } else {
        request.range(elements.len())
    };
    if !request.unsorted {
        elements = sorted(context, &request, elements)?;
    }
    match request.destination {
        None => reply(context, &request, &elements[range]),
        Some(destination) => store(context, &request, &elements[range], destination),
    }
    Ok(())
}

/// Loads the elements; only those asked for, where the order is the one they have.
fn elements(
    context: &mut Context,
    key: &HashedKey,
    request: &Request,
) -> Result<Elements, Failure> {
    let entry = context.lookup(key);
    let value = entry.map(EntryRef::value);
    let all = 0..usize::MAX;
    let asked = |length| {
        if request.unsorted {
            request.range(length)
        } else {
            all.clone()
        }
    };
    let backward = request.unsorted && request.descending;
    let list: Vec<Element> = match value {
        None => Vec::new(),
        Some(ValueRef::Set(set)) => {
            return Ok(Elements {
                list: set.iter().map(|member| Box::from(&*member)).collect(),
                are_of_set: true,
            });
        }
        Some(ValueRef::List(list)) => {
            let range = asked(list.len());
            let count = range.end - range.start;
            if backward && count > 0 {
                let from = list.len() - 1 - range.start;
                list.iter_back_from(from)
                    .take(count)
                    .map(Box::from)
                    .collect()
            } else {
                list.iter_from(range.start)
                    .take(count)
                    .map(Box::from)
                    .collect()
            }
        }
        Some(ValueRef::Sorted(sorted)) => {
            let range = asked(sorted.len());
            let count = range.end - range.start;
            let from = if backward {
                sorted.len() - range.start
            } else {
                range.start
            };
            let items = sorted.items_from(from, backward).take(count);
            items.map(|(_, member)| Box::from(member)).collect()
        }
        Some(_) => return Err(WRONG_TYPE.into()),
    };
    Ok(Elements {
        list,
        are_of_set: false,
    })
}

/// What decides on the place of an element.
enum Rank {
    Weight(f64),
    /// Sorts by this text; what has none comes first.
    Text(Option<Vec<u8>>),
    /// Sorts by the element.
    Own,
}

fn sorted(
    context: &mut Context,
    request: &Request,
    elements: Vec<Element>,
) -> Result<Vec<Element>, Failure> {
    let mut ranked = Vec::with_capacity(elements.len());
    let mut are_numbers = true;
    for element in elements {
        let text = match &request.by {
            None => None,
            Some(pattern) => pattern.lookup(context, &element),
        };
        let rank = match (&request.by, request.alphabetic) {
            (None, true) => Rank::Own,
            (Some(_), true) => Rank::Text(text),
            (by, false) => {
                // An element without a weight weighs nothing.
                let number = match (by, &text) {
                    (None, _) => weight(&element),
                    (Some(_), Some(text)) => weight(text),
                    (Some(_), None) => Some(0.0),
                };
                are_numbers &= number.is_some();
                Rank::Weight(number.unwrap_or(0.0))
            }
        };
        ranked.push((rank, element));
    }
    if !are_numbers {
        return Err("ERR One or more scores can't be converted into double".into());
    }
    ranked.sort_by(|left, right| {
        let order = compare(left, right);
        if request.descending {
            order.reverse()
        } else {
            order
        }
    });
    Ok(ranked.into_iter().map(|(_, element)| element).collect())
}

fn compare(left: &(Rank, Element), right: &(Rank, Element)) -> Ordering {
    match (&left.0, &right.0) {
        (Rank::Weight(one), Rank::Weight(other)) => {
            let order = one.partial_cmp(other).unwrap_or(Ordering::Equal);
            order.then_with(|| left.1.cmp(&right.1))
        }
        (Rank::Text(one), Rank::Text(other)) => one.cmp(other),
        _ => left.1.cmp(&right.1),
    }
}

fn reply(context: &mut Context, request: &Request, elements: &[Element]) {
    context
        .reply
        .array(elements.len() * request.get.len().max(1));
    for element in elements {
        if request.get.is_empty() {
            context.reply.bulk(element);
        }
        for pattern in &request.get {
            match pattern.lookup(context, element) {
                Some(value) => context.reply.bulk(&value),
                None => context.reply.null(),
            }
        }
    }
}

/// Elements of one effect of what is stored.
const STORED_AT_ONCE: usize = 256;

fn store(context: &mut Context, request: &Request, elements: &[Element], destination: &[u8]) {
    let mut list = List::default();
    for element in elements {
        if request.get.is_empty() {
            list.push_back(element);
        }
        for pattern in &request.get {
            let value = pattern.lookup(context, element);
            list.push_back(&value.unwrap_or_default());
        }
    }
    list.choose_encoding(limit(context));
    let (key, length) = (context.hashed(destination), list.len());
    let first = context.engine.effects.len();
    let removed = context.remove(&key);
    if length > 0 {
        let stored = list.clone();
        context.put(&key, list.wrap(), None);
        if !removed {
            context.engine.notify(class::NEW, "new", destination);
        }
        let mut words: Vec<&[u8]> = vec![b"RPUSH", destination];
        for element in stored.iter() {
            words.push(element);
            if words.len() == STORED_AT_ONCE + 2 {
                context.changed(&key, &words);
                words.truncate(2);
            }
        }
        if words.len() > 2 {
            context.changed(&key, &words);
        }
        context.engine.notify(class::LIST, "sortstore", destination);
    } else if removed {
        context.engine.notify(class::GENERIC, "del", destination);
    }
    context.make_atomic(first);
    context.reply.integer(length as i64);
}
