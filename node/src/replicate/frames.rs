//! The frames of a log stream, in both directions. Each is a RESP request, so that the usual reader
//! reads them.
//!
//! ```text
//! primary -> replica   CONTINUE epoch offset        the log goes on at the replica's end
//!                      FULL json                    forget everything; a base follows
//!                      BASE bytes                   a piece of the base, an RDB file
//!                      LOG bytes                    whole records, or pieces of them, in order
//!                      BEAT sent committed          answer this
//! replica -> primary   ACK held sent                holds everything before `held`
//! ```

use protocol::admin::EpochStart;
use protocol::resp::{parse_i64, write_request};
use protocol::status::Position;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where a full sync begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullSync {
    /// The base is the state at this position of the log.
    pub position: Position,
    /// The epochs before it.
    pub history: Vec<EpochStart>,
    /// The replica's log is the primary's up to here, as far as the primary knows.
    pub common: Option<u64>,
}

/// What a primary sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    Continue {
        offset: u64,
    },
    Full(FullSync),
    Base(&'a [u8]),
    Log(&'a [u8]),
    /// `sent_ms` is the primary's clock and comes back in the answer.
    Beat {
        sent_ms: u64,
        committed: u64,
    },
}

/// What a replica answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    pub held: u64,
    /// Of the latest beat.
    pub sent_ms: u64,
}

#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a frame of a log stream")]
pub struct FrameError(String);

impl<'a> Frame<'a> {
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Continue { offset } => write_numbers(out, b"CONTINUE", &[*offset]),
            Self::Full(full) => {
                // Plain numbers and lists: serialising cannot fail.
                let json = serde_json::to_vec(full).unwrap_or_default();
                write_request(out, &[b"FULL", &json]);
            }
            Self::Base(bytes) => write_request(out, &[b"BASE", bytes]),
            Self::Log(bytes) => write_request(out, &[b"LOG", bytes]),
            Self::Beat { sent_ms, committed } => {
                write_numbers(out, b"BEAT", &[*sent_ms, *committed]);
            }
        }
    }

    pub fn parse(words: &[&'a [u8]]) -> Result<Self, FrameError> {
        match words {
            [b"CONTINUE", offset] => Ok(Self::Continue {
                offset: number(offset)?,
            }),
            [b"FULL", json] => serde_json::from_slice(json)
                .map(Self::Full)
                .map_err(|error| FrameError(error.to_string())),
            [b"BASE", bytes] => Ok(Self::Base(bytes)),
            [b"LOG", bytes] => Ok(Self::Log(bytes)),
            [b"BEAT", sent, committed] => Ok(Self::Beat {
                sent_ms: number(sent)?,
                committed: number(committed)?,
            }),
            _ => Err(unknown(words)),
        }
    }
}

impl Ack {
    pub fn write(&self, out: &mut Vec<u8>) {
        write_numbers(out, b"ACK", &[self.held, self.sent_ms]);
    }

    pub fn parse(words: &[&[u8]]) -> Result<Self, FrameError> {
        match words {
            [b"ACK", held, sent] => Ok(Self {
                held: number(held)?,
                sent_ms: number(sent)?,
            }),
            _ => Err(unknown(words)),
        }
    }
}

fn write_numbers(out: &mut Vec<u8>, name: &[u8], numbers: &[u64]) {
    let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
    let mut words = vec![name];
    words.extend(texts.iter().map(String::as_bytes));
    write_request(out, &words);
}

fn number(word: &[u8]) -> Result<u64, FrameError> {
    let parsed = parse_i64(word).and_then(|number| u64::try_from(number).ok());
    parsed.ok_or_else(|| unknown(&[word]))
}

fn unknown(words: &[&[u8]]) -> FrameError {
    let first = words.first().copied().unwrap_or_default();
    FrameError(String::from_utf8_lossy(&first[..first.len().min(64)]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::resp::{RequestLimits, RequestReader};

    fn words_of(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = RequestReader::default();
        assert!(reader.read(bytes, RequestLimits::default()).unwrap());
        reader.arguments(bytes).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let position = Position {
            epoch: 2,
            offset: 9,
        };
        let history = vec![EpochStart {
            epoch: 1,
            offset: 0,
        }];
        let frames = [
            Frame::Continue { offset: 7 },
            Frame::Full(FullSync {
                position,
                history,
                common: Some(3),
            }),
            Frame::Base(b"\0\r\n"),
            Frame::Log(b"#KV"),
            Frame::Beat {
                sent_ms: 5,
                committed: 6,
            },
        ];
        for frame in frames {
            let mut bytes = Vec::new();
            frame.write(&mut bytes);
            let words = words_of(&bytes);
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            assert_eq!(Frame::parse(&words), Ok(frame));
        }
        let ack = Ack {
            held: 1,
            sent_ms: 2,
        };
        let mut bytes = Vec::new();
        ack.write(&mut bytes);
        let words = words_of(&bytes);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        assert_eq!(Ack::parse(&words), Ok(ack));
    }

    #[test]
    fn other_words_are_refused() {
        assert!(Frame::parse(&[b"SET", b"a"]).is_err());
        assert!(Ack::parse(&[b"ACK", b"x", b"1"]).is_err());
        assert!(Frame::parse(&[]).is_err());
    }
}
