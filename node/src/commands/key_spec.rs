//! Key specifications: where the keys are among the arguments of a command, and what happens to
//! them, as `COMMAND INFO` describes it.
//!
//! Source: the Redis documentation on key specifications.

use protocol::resp::{ReplyWriter, parse_i64};
use smallvec::SmallVec;

/// One specification.
pub struct KeySpec {
    /// Access, then kinds: `RW access delete`.
    pub flags: &'static str,
    pub begin: Begin,
    pub find: Find,
}

/// Where to begin to look.
pub enum Begin {
    Index(i32),
    /// After this word, searched from an index on (from the end backwards, if negative).
    Keyword(&'static str, i32),
    /// Only a function knows; `COMMAND INFO` says that it is unknown.
    Unknown,
}

/// Which arguments from there on are keys.
pub enum Find {
    /// Up to `last`, counted from the beginning, or from the end if negative; every `step`th; only
    /// the first part of so many if `limit` is greater than 1.
    Range { last: i32, step: i32, limit: i32 },
    /// As many as the argument at `count` says, from `first` on; both counted from the beginning.
    Count { count: i32, first: i32, step: i32 },
    /// The key after the word, if that is the last one of these words that a key follows. It shows
    /// as a range of one key.
    LastOf(&'static [&'static str]),
    /// Gives the positions.
    Function(fn(&[&[u8]], &mut SmallVec<[usize; 8]>)),
    /// Patterns of keys (`SORT BY`): no position is a key.
    Unknown,
}

/// One key.
pub const fn key(flags: &'static str, index: i32) -> KeySpec {
    keys(flags, index, 0, 1)
}

/// A range of keys.
pub const fn keys(flags: &'static str, index: i32, last: i32, step: i32) -> KeySpec {
    let limit = 0;
    KeySpec {
        flags,
        begin: Begin::Index(index),
        find: Find::Range { last, step, limit },
    }
}

/// As many keys as the argument at `index` says, right after it.
pub const fn counted(flags: &'static str, index: i32) -> KeySpec {
    KeySpec {
        flags,
        begin: Begin::Index(index),
        find: Find::Count {
            count: 0,
            first: 1,
            step: 1,
        },
    }
}

/// The key after a word, where only the last one of `words` holds.
pub const fn last_of(
    flags: &'static str,
    words: &'static [&'static str],
    word: &'static str,
    from: i32,
) -> KeySpec {
    KeySpec {
        flags,
        begin: Begin::Keyword(word, from),
        find: Find::LastOf(words),
    }
}

/// The position behind the last of `words` that something follows, if that is `word`.
fn after_last(words: &[&str], word: &str, from: i32, arguments: &[&[u8]]) -> Option<usize> {
    let mut last = None;
    let mut at = usize::try_from(from).unwrap_or(0);
    while at + 1 < arguments.len() {
        let is = |word: &&&str| arguments[at].eq_ignore_ascii_case(word.as_bytes());
        if let Some(found) = words.iter().find(is) {
            last = Some((*found, at + 1));
            at += 1;
        }
        at += 1;
    }
    last.filter(|(found, _)| *found == word).map(|(_, at)| at)
}

/// The position behind the last key of a range.
pub fn end(last: i32, count: i32) -> i32 {
    if last < 0 {
        count + last + 1
    } else {
        last.min(count - 1) + 1
    }
}

/// How many keys the argument at `at` says that there are from `first` on.
fn counted_keys(arguments: &[&[u8]], at: i32, first: i32, step: i32) -> Option<i32> {
    let number = parse_i64(arguments.get(at as usize)?)?;
    let most = i64::from((arguments.len() as i32 - first) / step.max(1));
    (0..=most).contains(&number).then_some(number as i32)
}

impl KeySpec {
    /// Adds the positions of its keys.
    pub fn find(&self, arguments: &[&[u8]], found: &mut SmallVec<[usize; 8]>) {
        match (&self.begin, &self.find) {
            (_, Find::Function(find)) => return find(arguments, found),
            (Begin::Keyword(word, from), Find::LastOf(words)) => {
                return found.extend(after_last(words, word, *from, arguments));
            }
            _ => {}
        }
        let Some(begin) = self.begin(arguments) else {
            return;
        };
        let count = arguments.len() as i32;
        let (first, end, step) = match self.find {
            Find::Range { last, step, limit } => {
                let end = if last < 0 && limit > 1 {
                    begin + (count - begin) / limit
                } else if last < 0 {
                    end(last, count)
                } else {
                    end(begin + last, count)
                };
                (begin, end, step)
            }
            Find::Count {
                count: at,
                first,
                step,
            } => {
                let first = begin + first;
                // A wrong count: the command will refuse that.
                let number = counted_keys(arguments, begin + at, first, step).unwrap_or(0);
                (first, first + number * step, step)
            }
            Find::LastOf(_) | Find::Function(_) | Find::Unknown => return,
        };
        found.extend(
            (first..end)
                .step_by(step.max(1) as usize)
                .map(|i| i as usize),
        );
    }

    /// Whether it counts keys, and the count is none of those that the arguments allow for.
    pub fn miscounts(&self, arguments: &[&[u8]]) -> bool {
        let Find::Count { count, first, step } = self.find else {
            return false;
        };
        let begin = self.begin(arguments);
        begin.is_some_and(|at| {
            counted_keys(arguments, at + count, at + first, step).is_none_or(|number| number == 0)
        })
    }

    /// Whether the positions of the keys depend on the arguments.
    pub fn is_movable(&self) -> bool {
        !matches!(
            (&self.begin, &self.find),
            (Begin::Index(_), Find::Range { .. })
        )
    }

    /// The index to begin at.
    fn begin(&self, arguments: &[&[u8]]) -> Option<i32> {
        match self.begin {
            Begin::Index(index) => Some(index),
            Begin::Keyword(word, from) => {
                let is_word =
                    |index: &i32| arguments[*index as usize].eq_ignore_ascii_case(word.as_bytes());
                let count = arguments.len() as i32;
                let found = if from < 0 {
                    (1..=count + from).rev().find(is_word)
                } else {
                    (from..count).find(is_word)
                };
                found.map(|index| index + 1).filter(|&index| index < count)
            }
            Begin::Unknown => None,
        }
    }

    /// The specification as `COMMAND INFO` answers it.
    pub fn describe(&self, reply: &mut ReplyWriter) {
        reply.map(3);
        reply.bulk(b"flags");
        reply.set(self.flags.split(' ').count());
        for name in self.flags.split(' ') {
            reply.simple(name);
        }
        reply.bulk(b"begin_search");
        match self.begin {
            Begin::Index(index) => fields(reply, "index", &[("index", index)]),
            Begin::Keyword(word, from) => {
                kind(reply, "keyword");
                reply.map(2);
                reply.bulk(b"keyword");
                reply.bulk(word.as_bytes());
                reply.bulk(b"startfrom");
                reply.integer(i64::from(from));
            }
            Begin::Unknown => fields(reply, "unknown", &[]),
        }
        reply.bulk(b"find_keys");
        match self.find {
            Find::Range { last, step, limit } => fields(
                reply,
                "range",
                &[("lastkey", last), ("keystep", step), ("limit", limit)],
            ),
            Find::LastOf(_) => fields(
                reply,
                "range",
                &[("lastkey", 0), ("keystep", 1), ("limit", 0)],
            ),
            Find::Count { count, first, step } => fields(
                reply,
                "keynum",
                &[("keynumidx", count), ("firstkey", first), ("keystep", step)],
            ),
            Find::Function(_) | Find::Unknown => fields(reply, "unknown", &[]),
        }
    }
}

fn kind(reply: &mut ReplyWriter, name: &str) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(name.as_bytes());
    reply.bulk(b"spec");
}

fn fields(reply: &mut ReplyWriter, name: &str, values: &[(&str, i32)]) {
    kind(reply, name);
    reply.map(values.len());
    for (name, value) in values {
        reply.bulk(name.as_bytes());
        reply.integer(i64::from(*value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: &KeySpec, request: &str, expect: &[usize]) {
        let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let mut found = SmallVec::new();
        spec.find(&words, &mut found);
        assert_eq!(found.as_slice(), expect, "{request}");
    }

    #[test]
    fn keys_are_found_where_the_specification_says() {
        check(&counted("RO", 1), "zunion 2 a b weights 1 2", &[2, 3]);
        check(&counted("RO", 1), "zunion 9 a b", &[]);
        assert!(counted("RO", 1).miscounts(&[b"zunion", b"9", b"a"]));
        assert!(!counted("RO", 1).miscounts(&[b"zunion", b"1", b"a"]));
        check(&counted("RO", 1), "zunion -1 a b", &[]);
        check(&counted("RO", 1), "zunion x a b", &[]);
        let streams = KeySpec {
            flags: "RO",
            begin: Begin::Keyword("STREAMS", 1),
            find: Find::Range {
                last: -1,
                step: 1,
                limit: 2,
            },
        };
        check(&streams, "xread count 2 streams a b 0 0", &[4, 5]);
        check(&streams, "xread count 2", &[]);
        check(&key("RW", 1), "get a", &[1]);
    }

    #[test]
    fn of_options_that_exclude_each_other_the_last_one_holds() {
        let words = &["STORE", "DIST"];
        let store = last_of("OW", words, "STORE", 6);
        let distance = last_of("OW", words, "DIST", 6);
        let check_both = |options: &str, stored: &[usize], distances: &[usize]| {
            let request = format!("georadius k 1 2 3 m {options}");
            check(&store, &request, stored);
            check(&distance, &request, distances);
        };
        check_both("store d", &[7], &[]);
        check_both("store d store store", &[9], &[]);
        check_both("store d dist e", &[], &[9]);
        check_both("dist e store d", &[9], &[]);
        check_both("dist store", &[], &[7]);
        check_both("store", &[], &[]);
    }
}
