//! Unions, intersections and differences of sorted sets and sets.

use super::ranges::write_items;
use super::store::{self, Effect};
use super::{Sorted, SortedSet, empty, limits, seed};
use crate::commands::flag::{DENY_OOM, READ, WRITE};
use crate::commands::key_spec::{counted, key};
use crate::commands::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, WRONG_TYPE, integer};
use crate::keyspace::entry::{EntryRef, ValueRef};
use crate::values::set::Set;
use crate::values::sorted::precedes;
use ahash::RandomState;
use protocol::resp::{parse_double, parse_i64};
use std::collections::HashMap;

pub const COMMANDS: &[Command] = &[
    command(
        "zunion",
        -3,
        Sorted,
        "6.2.0",
        "Returns the union of sorted sets.",
        answers!(|context, arguments| read(context, arguments, Operation::Union)),
    )
    .key_specs(&[counted("RO access", 1)])
    .syntax(
        "numkeys:integer key... [WEIGHTS weight:integer...] \
         [AGGREGATE (aggregate=SUM|MIN|MAX)] [WITHSCORES]",
    )
    .flags(READ),
    command(
        "zinter",
        -3,
        Sorted,
        "6.2.0",
        "Returns the intersection of sorted sets.",
        answers!(|context, arguments| read(context, arguments, Operation::Intersection)),
    )
    .key_specs(&[counted("RO access", 1)])
    .syntax(
        "numkeys:integer key... [WEIGHTS weight:integer...] \
         [AGGREGATE (aggregate=SUM|MIN|MAX)] [WITHSCORES]",
    )
    .flags(READ),
    command(
        "zdiff",
        -3,
        Sorted,
        "6.2.0",
        "Returns the members of the first sorted set that the others lack.",
        answers!(|context, arguments| read(context, arguments, Operation::Difference)),
    )
    .key_specs(&[counted("RO access", 1)])
    .syntax("numkeys:integer key... [WITHSCORES]")
    .flags(READ),
    command(
        "zunionstore",
        -4,
        Sorted,
        "2.0.0",
        "Stores the union of sorted sets.",
        answers!(|context, arguments| store_result(context, arguments, Operation::Union)),
    )
    .key_specs(&[key("OW update", 1), counted("RO access", 2)])
    .key_range(1, 1, 1)
    .syntax(
        "destination:key numkeys:integer key... [WEIGHTS weight:integer...] \
         [AGGREGATE (aggregate=SUM|MIN|MAX)]",
    )
    .flags(WRITE | DENY_OOM),
    command(
        "zinterstore",
        -4,
        Sorted,
        "2.0.0",
        "Stores the intersection of sorted sets.",
        answers!(|context, arguments| {
            store_result(context, arguments, Operation::Intersection)
        }),
    )
    .key_specs(&[key("OW update", 1), counted("RO access", 2)])
    .key_range(1, 1, 1)
    .syntax(
        "destination:key numkeys:integer key... [WEIGHTS weight:integer...] \
         [AGGREGATE (aggregate=SUM|MIN|MAX)]",
    )
    .flags(WRITE | DENY_OOM),
    command(
        "zdiffstore",
        -4,
        Sorted,
        "6.2.0",
        "Stores the members of the first sorted set that the others lack.",
        answers!(|context, arguments| { store_result(context, arguments, Operation::Difference) }),
    )
    .key_specs(&[key("OW update", 1), counted("RO access", 2)])
    .key_range(1, 1, 1)
    .syntax("destination:key numkeys:integer key...")
    .flags(WRITE | DENY_OOM),
    command(
        "zintercard",
        -3,
        Sorted,
        "7.0.0",
        "Counts the members of the intersection of sorted sets.",
        answers!(zintercard),
    )
    .key_specs(&[counted("RO access", 1)])
    .syntax("numkeys:integer key... [LIMIT limit:integer]")
    .flags(READ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores of one member.
#[derive(Debug, Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            // The sum of both infinities is 0.
            Self::Sum => number(one + other),
            Self::Min if other < one => other,
            Self::Max if other > one => other,
            Self::Min | Self::Max => one,
        }
    }
}

/// 0 for what is not a number.
fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// One of the keys; copies share their parts with the keyspace.
enum Source {
    Nothing,
    Sorted(SortedSet),
    /// Every score is 1.
    Plain(Set),
}

struct Input {
    source: Source,
    weight: f64,
}

impl Input {
    fn len(&self) -> usize {
        match &self.source {
            Source::Nothing => 0,
            Source::Sorted(set) => set.len(),
            Source::Plain(set) => set.len(),
        }
    }

    fn score_of(&self, member: &[u8]) -> Option<f64> {
        match &self.source {
            Source::Nothing => None,
            Source::Sorted(set) => set.score_of(member),
            Source::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    fn weighted_score_of(&self, member: &[u8]) -> Option<f64> {
        Some(number(self.score_of(member)? * self.weight))
    }

    /// Visits members with their scores, while `visit` holds.
    fn visit(&self, mut visit: impl FnMut(f64, &[u8]) -> bool) {
        match &self.source {
            Source::Nothing => {}
            Source::Sorted(set) => {
                set.iter().all(|(score, member)| visit(score, member));
            }
            Source::Plain(set) => {
                set.iter().all(|member| visit(1.0, &member));
            }
        }
    }
}

/// What a request says.
struct Request {
    inputs: Vec<Input>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Of ZINTERCARD; 0 for none.
    limit: u64,
    seed: u64,
}

/// Which options a command has beside those of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Reads,
    Stores,
    Counts,
}

fn sources(context: &mut Context, names: &[&[u8]]) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::with_capacity(names.len());
    for name in names {
        let key = context.hashed(name);
        let source = match context.lookup(&key).map(EntryRef::value) {
            None => Source::Nothing,
            Some(ValueRef::Sorted(set)) => Source::Sorted(set.clone()),
            Some(ValueRef::Set(set)) => Source::Plain(set.clone()),
            Some(_) => return Err(WRONG_TYPE.into()),
        };
        let weight = 1.0;
        inputs.push(Input { source, weight });
    }
    Ok(inputs)
}

/// Reads `numkeys key... options`.
fn parse(
    context: &mut Context,
    words: &[&[u8]],
    operation: Operation,
    form: Form,
) -> Result<Request, Failure> {
    let count = integer(words[0])?;
    if count < 1 {
        let name = context.command.full_name();
        return Err(format!("ERR at least 1 input key is needed for '{name}' command").into());
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let names = words[1..].get(..count).ok_or(SYNTAX)?;
    let mut request = Request {
        inputs: sources(context, names)?,
        aggregate: Aggregate::Sum,
        with_scores: false,
        limit: 0,
        seed: seed(context),
    };
    let combines = operation != Operation::Difference && form != Form::Counts;
    let mut rest = &words[1 + count..];
    while let [word, others @ ..] = rest {
        rest = match word.to_ascii_uppercase().as_slice() {
            b"WEIGHTS" if combines && others.len() >= count => {
                for (input, text) in request.inputs.iter_mut().zip(others) {
                    let weight = parse_double(text).filter(|weight| !weight.is_nan());
                    input.weight = weight.ok_or("ERR weight value is not a float")?;
                }
                &others[count..]
            }
            b"AGGREGATE" if combines && !others.is_empty() => {
                request.aggregate = aggregate(others[0])?;
                &others[1..]
            }
            b"WITHSCORES" if form == Form::Reads => {
                request.with_scores = true;
                others
            }
            b"LIMIT" if form == Form::Counts && !others.is_empty() => {
                let limit = parse_i64(others[0]).and_then(|limit| u64::try_from(limit).ok());
                request.limit = limit.ok_or("ERR LIMIT can't be negative")?;
                &others[1..]
            }
            _ => return Err(SYNTAX.into()),
        };
    }
    Ok(request)
}

fn aggregate(word: &[u8]) -> Result<Aggregate, Failure> {
    match word.to_ascii_uppercase().as_slice() {
        b"SUM" => Ok(Aggregate::Sum),
        b"MIN" => Ok(Aggregate::Min),
        b"MAX" => Ok(Aggregate::Max),
        _ => Err(SYNTAX.into()),
    }
}

/// Members with scores, in no order.
type Found = Vec<(f64, Vec<u8>)>;

impl Request {
    fn found(mut self, operation: Operation) -> Found {
        match operation {
            Operation::Difference => self.difference(),
            Operation::Union => {
                self.inputs.sort_by_key(Input::len);
                self.union()
            }
            Operation::Intersection => {
                self.inputs.sort_by_key(Input::len);
                let mut found = Found::new();
                self.intersect(|score, member| {
                    found.push((score, member.to_vec()));
                    true
                });
                found
            }
        }
    }

    fn union(&self) -> Found {
        let hasher = RandomState::with_seeds(self.seed, 0, 0, 0);
        let mut found: HashMap<Vec<u8>, f64, RandomState> = HashMap::with_hasher(hasher);
        for input in &self.inputs {
            input.visit(|score, member| {
                let score = number(score * input.weight);
                match found.get_mut(member) {
                    Some(sum) => *sum = self.aggregate.of(*sum, score),
                    None => {
                        found.insert(member.to_vec(), score);
                    }
                }
                true
            });
        }
        found
            .into_iter()
            .map(|(member, score)| (score, member))
            .collect()
    }

    /// Visits what all inputs have; the first is the smallest.
    fn intersect(&self, mut visit: impl FnMut(f64, &[u8]) -> bool) {
        let Some((first, others)) = self.inputs.split_first() else {
            return;
        };
        first.visit(|score, member| {
            let mut sum = number(score * first.weight);
            for other in others {
                let Some(score) = other.weighted_score_of(member) else {
                    return true;
                };
                sum = self.aggregate.of(sum, score);
            }
            visit(sum, member)
        });
    }

    fn difference(&self) -> Found {
        let mut found = Found::new();
        let Some((first, others)) = self.inputs.split_first() else {
            return found;
        };
        first.visit(|score, member| {
            if others.iter().all(|other| other.score_of(member).is_none()) {
                found.push((score, member.to_vec()));
            }
            true
        });
        found
    }
}

fn read(context: &mut Context, arguments: &[&[u8]], operation: Operation) -> Result<(), Failure> {
    let request = parse(context, &arguments[1..], operation, Form::Reads)?;
    let with_scores = request.with_scores;
    let mut found = request.found(operation);
    found.sort_unstable_by(|one, other| {
        let (one, other) = ((one.0, one.1.as_slice()), (other.0, other.1.as_slice()));
        precedes(other, one).cmp(&precedes(one, other))
    });
    let items = found
        .iter()
        .map(|(score, member)| (*score, member.as_slice()));
    write_items(&mut context.reply, items, found.len(), with_scores);
    Ok(())
}

fn store_result(
    context: &mut Context,
    arguments: &[&[u8]],
    operation: Operation,
) -> Result<(), Failure> {
    let request = parse(context, &arguments[2..], operation, Form::Stores)?;
    let found = request.found(operation);
    let (mut set, limits) = (empty(context), limits(context));
    let longest = found.iter().map(|(_, member)| member.len()).max();
    set.expect(found.len(), longest.unwrap_or(0), limits);
    for (score, member) in &found {
        set.insert(*score, member, limits);
    }
    let event = match operation {
        Operation::Union => "zunionstore",
        Operation::Intersection => "zinterstore",
        Operation::Difference => "zdiffstore",
    };
    let effect = Effect::Command(arguments);
    store::store(context, arguments[1], set, event, &effect);
    Ok(())
}

fn zintercard(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let operation = Operation::Intersection;
    let mut request = parse(context, &arguments[1..], operation, Form::Counts)?;
    request.inputs.sort_by_key(Input::len);
    let (mut count, limit) = (0, request.limit);
    request.intersect(|_, _| {
        count += 1;
        count != limit
    });
    context.reply.integer(count as i64);
    Ok(())
}
