//! What the user may type while the playground runs.

use super::Lines;
use std::io::BufRead;
use tokio::sync::mpsc;

/// Lines that wait; nobody types faster.
const LINES_MAX: usize = 16;
pub const USAGE: &str = "kill POD | pause POD | resume POD | cut POD POD | heal";

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Kill(String),
    Pause(String),
    Resume(String),
    Cut(String, String),
    Heal,
}

impl Command {
    /// The command of a line; none for an empty one, the usage for what is no command.
    pub fn parse(line: &str) -> Result<Option<Self>, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(Some(match words.as_slice() {
            [] => return Ok(None),
            ["kill", pod] => Self::Kill((*pod).to_owned()),
            ["pause", pod] => Self::Pause((*pod).to_owned()),
            ["resume", pod] => Self::Resume((*pod).to_owned()),
            ["cut", one, other] => Self::Cut((*one).to_owned(), (*other).to_owned()),
            ["heal"] => Self::Heal,
            _ => return Err(USAGE.to_owned()),
        }))
    }
}

/// Reads lines on a thread of its own, as a read of a terminal cannot be given up.
pub fn from_standard_input() -> Lines {
    let (sender, lines) = mpsc::channel(LINES_MAX);
    let reader = std::thread::Builder::new().name("stdin".to_owned());
    let started = reader.spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    if let Err(error) = started {
        tracing::warn!(%error, "reading the standard input");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words() {
        assert_eq!(
            Command::parse(" kill demo-0-0 "),
            Ok(Some(Command::Kill("demo-0-0".into())))
        );
        assert_eq!(
            Command::parse("cut a b"),
            Ok(Some(Command::Cut("a".into(), "b".into())))
        );
        assert_eq!(Command::parse(""), Ok(None));
        assert_eq!(Command::parse("kill"), Err(USAGE.to_owned()));
    }
}
