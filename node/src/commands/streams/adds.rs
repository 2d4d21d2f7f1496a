//! Streams: adding entries, and trimming those that are too many or too old.

use super::super::Group::Stream as Streams;
use super::super::flag::{DENY_OOM, FAST, WRITE};
use super::super::{Command, answers, command};
use super::{INVALID_ID, exact_id};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::notify::class;
use crate::keyspace::HashedKey;
use crate::values::Collection;
use crate::values::stream::{Entries, Limits, NewId, Stream, StreamId, Trim, Trimming};

pub const COMMANDS: &[Command] = &[
    command(
        "xadd",
        -5,
        Streams,
        "5.0.0",
        "Adds an entry to a stream, which is created if it is not there.",
        answers!(xadd),
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RW update")
    .syntax(
        "key [NOMKSTREAM] [trim=(strategy=MAXLEN|MINID) [operator=equal\"=\"|approximately\"~\"] \
         threshold [LIMIT count]] \
         (id_or_auto=auto_id\"*\"|id) (field value)...",
    )
    .flags(WRITE | DENY_OOM | FAST)
    .one_key(),
    command(
        "xtrim",
        -4,
        Streams,
        "5.0.0",
        "Removes the oldest entries of a stream and counts them.",
        answers!(xtrim),
    )
    .tips(&["nondeterministic_output"])
    .key_flags("RW delete")
    .syntax(
        "key (trim=(strategy=MAXLEN|MINID) [operator=equal\"=\"|approximately\"~\"] \
         threshold [LIMIT count])",
    )
    .flags(WRITE)
    .one_key(),
];

/// The options of XADD and XTRIM.
#[derive(Default)]
struct Options {
    trimming: Option<Trimming>,
    no_create: bool,
    /// Where the fields begin.
    fields: usize,
    /// `None` for `*`.
    id: Option<NewId>,
}

const INCOMPATIBLE: &str =
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible";

/// An approximate trimming without a limit removes about so many chunks at most.
const CHUNKS_TRIMMED_MAX: u64 = 100;
const ENTRIES_TRIMMED: u64 = 10_000;
const ENTRIES_TRIMMED_MAX: u64 = 1_000_000;

impl Options {
    fn parse(arguments: &[&[u8]], adds: bool, chunk_entries: u64) -> Result<Self, Failure> {
        let mut options = Self {
            fields: arguments.len() + 1,
            ..Self::default()
        };
        let mut limit = None;
        let mut at = 2;
        while let Some(word) = arguments.get(at) {
            let has_more = at + 1 < arguments.len();
            let is = |name: &[u8]| has_more && word.eq_ignore_ascii_case(name);
            if adds && *word == b"*" {
                options.fields = at + 1;
                break;
            } else if is(b"MAXLEN") || is(b"MINID") {
                at = options.parse_trim(arguments, at)?;
            } else if is(b"LIMIT") {
                let value = u64::try_from(integer(arguments[at + 1])?);
                limit = Some(value.map_err(|_| "ERR The LIMIT argument must be >= 0.")?);
                at += 2;
            } else if adds && word.eq_ignore_ascii_case(b"NOMKSTREAM") {
                options.no_create = true;
                at += 1;
            } else if adds {
                options.id = Some(NewId::parse(word).ok_or(INVALID_ID)?);
                options.fields = at + 1;
                break;
            } else {
                return Err(SYNTAX.into());
            }
        }
        options.limit(limit, adds, chunk_entries)?;
        Ok(options)
    }

    /// `MAXLEN [=|~] count` or `MINID [=|~] id` at `at`; where to go on.
    fn parse_trim(&mut self, arguments: &[&[u8]], at: usize) -> Result<usize, Failure> {
        if self.trimming.is_some() {
            return Err(INCOMPATIBLE.into());
        }
        let by_length = arguments[at].eq_ignore_ascii_case(b"MAXLEN");
        let operator = match arguments[at + 1] {
            operator @ (b"~" | b"=") if at + 2 < arguments.len() => Some(operator),
            _ => None,
        };
        let value = arguments[at + 1 + usize::from(operator.is_some())];
        let trim = if by_length {
            let length = u64::try_from(integer(value)?);
            Trim::ToLength(length.map_err(|_| "ERR The MAXLEN argument must be >= 0.")?)
        } else {
            Trim::Before(exact_id(value)?)
        };
        self.trimming = Some(Trimming {
            trim,
            approximate: operator == Some(b"~"),
            limit: 0,
        });
        Ok(at + 2 + usize::from(operator.is_some()))
    }

    fn limit(&mut self, limit: Option<u64>, adds: bool, chunk_entries: u64) -> Result<(), Failure> {
        let Some(trimming) = &mut self.trimming else {
            return match limit {
                Some(limit) if limit > 0 => Err("ERR syntax error, LIMIT cannot be used without \
                                                 specifying a trimming strategy"
                    .into()),
                _ if !adds => {
                    Err("ERR syntax error, XTRIM must be called with a trimming strategy".into())
                }
                Some(_) => Err(LIMIT_OF_EXACT.into()),
                None => Ok(()),
            };
        };
        match limit {
            Some(_) if !trimming.approximate => return Err(LIMIT_OF_EXACT.into()),
            Some(limit) => trimming.limit = limit,
            None if trimming.approximate => {
                let entries = CHUNKS_TRIMMED_MAX.saturating_mul(chunk_entries);
                trimming.limit = match entries {
                    0 => ENTRIES_TRIMMED,
                    entries => entries.min(ENTRIES_TRIMMED_MAX),
                };
            }
            None => {}
        }
        Ok(())
    }
}

const LIMIT_OF_EXACT: &str = "ERR syntax error, LIMIT cannot be used without the special ~ option";

/// What a trimming has done.
struct Trimmed {
    removed: u64,
    /// To be freed.
    garbage: Entries,
    length: u64,
}

fn trim(stream: &mut Stream, trimming: Option<Trimming>) -> Trimmed {
    let (removed, garbage) = match trimming {
        Some(trimming) => stream.entries.trim(trimming),
        None => (0, Entries::default()),
    };
    Trimmed {
        removed,
        garbage,
        length: stream.entries.len(),
    }
}

/// The id of a new entry after `last`.
fn next_id(asked: Option<NewId>, last: StreamId, now_ms: u64) -> Result<StreamId, Failure> {
    const TOO_SMALL: &str =
        "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    let id = match asked {
        None if now_ms > last.ms => Some(StreamId::new(now_ms, 0)),
        None => last.next(),
        Some(NewId::Exact(id)) => Some(id),
        Some(NewId::AnyOf { ms }) if ms == last.ms => last.next().filter(|id| id.ms == ms),
        Some(NewId::AnyOf { ms }) => Some(StreamId::new(ms, 0)),
    };
    id.filter(|id| *id > last).ok_or(TOO_SMALL.into())
}

fn xadd(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let encodings = context.engine.config.encodings;
    let options = Options::parse(arguments, true, encodings.stream_node_entries_max)?;
    let pairs = arguments.get(options.fields..).unwrap_or_default();
    if pairs.len() < 2 || !pairs.len().is_multiple_of(2) {
        return Err("ERR wrong number of arguments for 'xadd' command".into());
    }
    if options.id == Some(NewId::Exact(StreamId::MIN)) {
        return Err("ERR The ID specified in XADD must be greater than 0-0".into());
    }
    let key = context.hashed(arguments[1]);
    let last = context
        .read::<Stream>(&key)?
        .map(|stream| stream.entries.last_id);
    if last.is_none() && options.no_create {
        context.reply.null();
        return Ok(());
    }
    if last == Some(StreamId::MAX) {
        return Err(
            "ERR The stream has exhausted the last possible ID, unable to add more items".into(),
        );
    }
    let id = next_id(options.id, last.unwrap_or_default(), context.now_ms)?;
    let limits = Limits::new(
        encodings.stream_node_bytes_max,
        encodings.stream_node_entries_max,
    );
    let add = |stream: &mut Stream| {
        stream.entries.push(id, pairs, limits);
        trim(stream, options.trimming)
    };
    let trimmed = match last {
        Some(_) => context.change(&key, add),
        None => Some(context.change_or_create(&key, add)?),
    };
    let id = id.text();
    if let Some(trimmed) = trimmed {
        record_added(context, &key, &id, pairs, trimmed);
    }
    context.reply.bulk(&id);
    Ok(())
}

/// Says that an entry was added. What was trimmed is told by the length that is left, which is the
/// same however the trimming was asked for.
fn record_added(
    context: &mut Context,
    key: &HashedKey,
    id: &[u8],
    pairs: &[&[u8]],
    trimmed: Trimmed,
) {
    let length = trimmed.length.to_string();
    let mut effect: Vec<&[u8]> = Vec::with_capacity(6 + pairs.len());
    effect.extend([&b"XADD"[..], key.bytes]);
    if trimmed.removed > 0 {
        effect.extend([&b"MAXLEN"[..], b"=", length.as_bytes()]);
    }
    effect.push(id);
    effect.extend_from_slice(pairs);
    context.record_kept(key, class::STREAM, "xadd", &effect);
    if trimmed.removed > 0 {
        context.engine.notify(class::STREAM, "xtrim", key.bytes);
        discard(context, trimmed.garbage);
    }
}

/// Frees chunks, later if they are many.
fn discard(context: &mut Context, entries: Entries) {
    let garbage = Stream::of_entries(entries).wrap();
    context.engine.keyspace.discard(garbage);
}

fn xtrim(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let chunk_entries = context.engine.config.encodings.stream_node_entries_max;
    let options = Options::parse(arguments, false, chunk_entries)?;
    let key = context.hashed(arguments[1]);
    let mut removed = 0;
    if context.read::<Stream>(&key)?.is_some() {
        let trimmed = context.change(&key, |stream| trim(stream, options.trimming));
        if let Some(trimmed) = trimmed.filter(|trimmed| trimmed.removed > 0) {
            removed = trimmed.removed;
            let length = trimmed.length.to_string();
            let effect: [&[u8]; 5] = [b"XTRIM", key.bytes, b"MAXLEN", b"=", length.as_bytes()];
            context.record(&key, class::STREAM, "xtrim", &effect);
            discard(context, trimmed.garbage);
        }
    }
    context.reply.integer(removed as i64);
    Ok(())
}
