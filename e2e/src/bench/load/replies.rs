//! Counts replies (RESP2) in whatever pieces they come, without decoding them.

use anyhow::{Context, bail};

/// Replies that have not come yet.
pub struct Replies {
    /// Values whose first line has not come: replies, and elements of arrays.
    missing: usize,
    /// Bytes to come of a string whose length is known, with the end of its line.
    string: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
}

impl Replies {
    pub fn expecting(missing: usize) -> Self {
        Self {
            missing,
            string: 0,
            line: Vec::new(),
        }
    }

    pub fn are_there(&self) -> bool {
        self.missing == 0 && self.string == 0
    }

    /// Takes what has come.
    ///
    /// # Errors
    /// When a reply is an error, is not RESP2, or was not expected.
    pub fn pass(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        loop {
            let passed = self.string.min(bytes.len());
            self.string -= passed;
            bytes = &bytes[passed..];
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                return Ok(());
            };
            let (line, rest) = bytes.split_at(end + 1);
            if self.line.is_empty() {
                self.begin(line)?;
            } else {
                self.line.extend_from_slice(line);
                let line = std::mem::take(&mut self.line);
                self.begin(&line)?;
            }
            bytes = rest;
        }
    }

    /// Takes the first line of a value.
    fn begin(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.missing = self.missing.checked_sub(1).context("a reply too many")?;
        match line {
            [b'+' | b':', ..] => {}
            [b'$', length @ .., b'\r', b'\n'] => {
                self.string = length_in(length)?.map_or(0, |length| length + 2);
            }
            [b'*', length @ .., b'\r', b'\n'] => self.missing += length_in(length)?.unwrap_or(0),
            _ => bail!("the server answered {}", String::from_utf8_lossy(line)),
        }
        Ok(())
    }
}

/// A length; nothing for the one of null.
fn length_in(digits: &[u8]) -> anyhow::Result<Option<usize>> {
    if digits == b"-1" {
        return Ok(None);
    }
    let text = std::str::from_utf8(digits)?;
    text.parse()
        .map(Some)
        .with_context(|| format!("the length {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: &[u8] = b"+OK\r\n$5\r\nx\r\ny\n\r\n*3\r\n:1\r\n$-1\r\n*1\r\n$0\r\n\r\n*-1\r\n";

    #[test]
    fn replies_are_counted_wherever_they_are_cut() {
        for cut in 0..FOUR.len() {
            let mut replies = Replies::expecting(4);
            let (first, second) = FOUR.split_at(cut);
            replies.pass(first).unwrap();
            assert!(!replies.are_there(), "after {cut} bytes");
            replies.pass(second).unwrap();
            assert!(replies.are_there(), "cut after {cut} bytes");
        }
    }

    #[test]
    fn a_reply_that_is_an_error_or_was_not_expected_is_told() {
        check("-ERR no\r\n", "the server answered -ERR no\r\n");
        check("+OK\r\n+OK\r\n", "a reply too many");
        check("$x\r\n", "the length \"x\"");
    }

    fn check(came: &str, complaint: &str) {
        let told = Replies::expecting(1).pass(came.as_bytes());
        assert_eq!(told.unwrap_err().to_string(), complaint);
    }
}
