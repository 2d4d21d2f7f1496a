//! LCS: the longest common subsequence of two strings.

use super::Group::String as Strings;
use super::flag::READ;
use super::{Command, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};

pub const COMMANDS: &[Command] = &[command(
    "lcs",
    -3,
    Strings,
    "7.0.0",
    "Finds the longest common subsequence.",
    |context, arguments| {
        let result = lcs(context, arguments);
        context.answer(result);
    },
)
.syntax("key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]")
.flags(READ)
.key_range(1, 2, 1)];

/// Most cells of the table: 4 bytes each.
const CELLS_MAX: usize = 128 * 1024 * 1024;

#[derive(Default)]
struct Options {
    length: bool,
    ranges: bool,
    with_length: bool,
    length_min: usize,
}

/// A run that both strings share: first and last position in each.
struct Match {
    left: (usize, usize),
    right: (usize, usize),
}

fn parse(words: &[&[u8]]) -> Result<Options, Failure> {
    let mut options = Options::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        match word.to_ascii_uppercase().as_slice() {
            b"IDX" => options.ranges = true,
            b"LEN" => options.length = true,
            b"WITHMATCHLEN" => options.with_length = true,
            b"MINMATCHLEN" => {
                at += 1;
                let min = integer(words.get(at).ok_or(SYNTAX)?)?;
                options.length_min = usize::try_from(min).unwrap_or(0);
            }
            _ => return Err(SYNTAX.into()),
        }
        at += 1;
    }
    if options.ranges && options.length {
        return Err("ERR If you want both the length and indexes, please just use IDX.".into());
    }
    Ok(options)
}

fn lcs(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let keys = [context.hashed(arguments[1]), context.hashed(arguments[2])];
    let not_strings = "ERR The specified keys must contain string values";
    let left = context.lookup_string(&keys[0]).map_err(|_| not_strings)?;
    let right = context.lookup_string(&keys[1]).map_err(|_| not_strings)?;
    let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
    let options = parse(&arguments[3..])?;
    if (left.len() + 1).saturating_mul(right.len() + 1) > CELLS_MAX {
        return Err(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len".into(),
        );
    }
    let table = table(&left, &right);
    let length = table[left.len() * (right.len() + 1) + right.len()];
    if options.length {
        context.reply.integer(i64::from(length));
        return Ok(());
    }
    let (text, matches) = trace(&table, &left, &right);
    if !options.ranges {
        context.reply.bulk(&text);
        return Ok(());
    }
    reply_ranges(context, &options, &matches, length);
    Ok(())
}

/// Lengths of the longest common subsequences of all pairs of prefixes.
fn table(left: &[u8], right: &[u8]) -> Vec<u32> {
    let width = right.len() + 1;
    let mut table = vec![0u32; (left.len() + 1) * width];
    for i in 1..=left.len() {
        for j in 1..width {
            table[i * width + j] = if left[i - 1] == right[j - 1] {
                table[(i - 1) * width + j - 1] + 1
            } else {
                table[(i - 1) * width + j].max(table[i * width + j - 1])
            };
        }
    }
    table
}

/// Walks the table from its end: the subsequence, and the runs in the order they are met.
fn trace(table: &[u32], left: &[u8], right: &[u8]) -> (Vec<u8>, Vec<Match>) {
    let width = right.len() + 1;
    let (mut i, mut j) = (left.len(), right.len());
    let mut text = Vec::new();
    let mut matches: Vec<Match> = Vec::new();
    while i > 0 && j > 0 {
        if left[i - 1] == right[j - 1] {
            i -= 1;
            j -= 1;
            text.push(left[i]);
            match matches.last_mut() {
                Some(run) if run.left.0 == i + 1 && run.right.0 == j + 1 => {
                    run.left.0 = i;
                    run.right.0 = j;
                }
                _ => matches.push(Match {
                    left: (i, i),
                    right: (j, j),
                }),
            }
        } else if table[(i - 1) * width + j] > table[i * width + j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    text.reverse();
    (text, matches)
}

fn reply_ranges(context: &mut Context, options: &Options, matches: &[Match], length: u32) {
    let long = |run: &&Match| run.left.1 - run.left.0 + 1 >= options.length_min;
    let shown: Vec<&Match> = matches.iter().filter(long).collect();
    let reply = &mut context.reply;
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(shown.len());
    for run in shown {
        reply.array(2 + usize::from(options.with_length));
        for (start, end) in [run.left, run.right] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer(end as i64);
        }
        if options.with_length {
            reply.integer((run.left.1 - run.left.0 + 1) as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(length));
}
