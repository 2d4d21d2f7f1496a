//! LOLWUT: a drawing of its own, and the version.

use super::Group::Server;
use super::flag::FAST;
use super::{Command, REDIS_VERSION, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, integer};

pub const COMMANDS: &[Command] = &[command(
    "lolwut",
    -1,
    Server,
    "5.0.0",
    "Draws something, and shows the version.",
    answers!(lolwut),
)
.syntax("[VERSION version:integer] [columns:integer] [rows:integer]")
.flags(FAST)];

const COLUMNS: (i64, i64) = (32, 160);
const ROWS: (i64, i64) = (8, 60);

fn lolwut(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let numbers = match &arguments[1..] {
        [word, version, rest @ ..] if word.eq_ignore_ascii_case(b"VERSION") => {
            integer(version)?;
            rest
        }
        rest => rest,
    };
    let sizes = numbers.iter().map(|number| integer(number));
    let sizes = sizes.collect::<Result<Vec<i64>, Failure>>()?;
    let size = |index: usize, (usual, most): (i64, i64)| {
        sizes.get(index).map_or(usual, |&size| size.clamp(1, most))
    };
    let mut text = String::new();
    for _ in 0..size(1, ROWS) {
        meander(context, size(0, COLUMNS), &mut text);
    }
    text += "\nA path through slots. KVCluster ";
    text += env!("CARGO_PKG_VERSION");
    text += ", as Redis ver. ";
    text += REDIS_VERSION;
    text.push('\n');
    context.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// A line of a maze: each sign leans to one side or the other.
fn meander(context: &mut Context, columns: i64, text: &mut String) {
    for _ in 0..columns {
        let leans = context.engine.random() & 1 == 0;
        text.push(if leans { '╱' } else { '╲' });
    }
    text.push('\n');
}
