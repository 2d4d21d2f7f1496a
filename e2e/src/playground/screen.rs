//! Shows lines: redrawn in place on a terminal, printed on change elsewhere.

use rustix::termios::tcgetwinsize;
use std::io::{IsTerminal, Write, stdout};

/// Where lines go.
#[derive(Debug)]
pub struct Screen {
    is_terminal: bool,
    shown: Vec<String>,
    /// Lines on the terminal that the next redraw replaces.
    height: usize,
    note: Option<String>,
}

impl Screen {
    pub fn new() -> Self {
        Self {
            is_terminal: stdout().is_terminal(),
            shown: Vec::new(),
            height: 0,
            note: None,
        }
    }

    /// A line that stays.
    pub fn say(&mut self, line: &str) {
        self.write(&format!("{line}\n"));
    }

    /// An answer to a command, shown below the table.
    pub fn note(&mut self, line: &str) {
        if self.is_terminal {
            // The user's own line stands where the cursor was.
            self.height = self.height.saturating_add(usize::from(self.height > 0));
            self.note = Some(line.to_owned());
            self.shown.clear();
        } else {
            self.say(line);
        }
    }

    /// Shows the lines, when they changed.
    pub fn show(&mut self, lines: &[String]) {
        if self.shown == lines {
            return;
        }
        if !self.is_terminal {
            for line in lines.iter().filter(|line| !self.shown.contains(line)) {
                self.write(&format!("{line}\n"));
            }
            self.shown = lines.to_vec();
            return;
        }
        let size = tcgetwinsize(stdout())
            .ok()
            .map(|size| (size.ws_row, size.ws_col));
        let (rows, columns) = match size {
            Some((rows, columns)) if rows > 1 && columns > 0 => (rows.into(), columns.into()),
            _ => (24, 80),
        };
        let drawn: Vec<&String> = lines.iter().chain(&self.note).take(rows - 1).collect();
        let mut text = self.erasing();
        for line in &drawn {
            text.extend(line.chars().take(columns));
            text.push('\n');
        }
        self.height = drawn.len();
        self.write(&text);
        self.shown = lines.to_vec();
    }

    /// What is shown now stays; the next lines are drawn below it.
    pub fn leave(&mut self) {
        self.height = 0;
        self.note = None;
    }

    /// Moves up over what was drawn and clears to the end (ECMA-48: CUU, ED).
    fn erasing(&self) -> String {
        if self.height == 0 {
            String::new()
        } else {
            format!("\x1b[{}A\x1b[J", self.height)
        }
    }

    fn write(&self, text: &str) {
        let mut out = stdout().lock();
        // A reader that has gone does not stop the cluster.
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            tracing::debug!(%error, terminal = self.is_terminal, "writing to the standard output");
        }
    }
}
