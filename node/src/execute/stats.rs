//! Counters that `INFO` and the metrics show.

use super::histogram::Histogram;
use std::collections::BTreeMap;

/// Of one command.
#[derive(Debug, Default, Clone, Copy)]
pub struct CommandStats {
    pub calls: u64,
    /// Refused before it ran.
    pub rejected: u64,
    /// Answered with an error.
    pub failed: u64,
    /// Time that the calls took.
    pub nanoseconds: u64,
}

#[derive(Debug, Default)]
pub struct Stats {
    pub connections_received: u64,
    pub rejected_connections: u64,
    pub commands_processed: u64,
    pub used_bytes_peak: u64,
    pub expired_keys: u64,
    /// Fields of hashes.
    pub expired_fields: u64,
    pub evicted_keys: u64,
    /// What `FUNCTION FLUSH` has freed, beside keys.
    pub freed_functions: u64,
    pub evicted_clients: u64,
    /// Clients closed because what they sent, or did not take, was too much.
    pub over_query_limit: u64,
    pub over_output_limit: u64,
    /// Times that sockets were read and written.
    pub reads: u64,
    pub writes: u64,
    /// Time that went into removing expired keys.
    pub expiry_ns: u64,
    /// Times that there was more to remove than is removed at once.
    pub expiry_slices_spent: u64,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub error_replies: u64,
    /// Changes to keys since the start.
    pub changes: u64,
    pub net_input_bytes: u64,
    pub net_output_bytes: u64,
    /// Of the streams from a primary and to replicas.
    pub stream_input_bytes: u64,
    pub stream_output_bytes: u64,
    pub full_syncs: u64,
    pub partial_syncs_accepted: u64,
    pub partial_syncs_refused: u64,
    /// By the command's index in the table.
    commands: Vec<CommandStats>,
    /// How long calls took, by the command's index.
    histograms: Vec<Option<Histogram>>,
    /// The reply of the script that runs is an error which has been counted: that of a command.
    pub script_error_is_known: bool,
    /// Error replies by their code.
    errors: BTreeMap<String, u64>,
}

/// Most error codes counted apart that scripts have made up, and most of all. The others are
/// counted together.
const SCRIPT_CODES_MAX: usize = 128;
const ERROR_CODES_MAX: usize = 256;
const OTHER_CODES: &str = "ERRORSTATS_OVERFLOW";

/// Longest error code.
const ERROR_CODE_BYTES_MAX: usize = 31;

impl Stats {
    /// Begins anew; what tells the state of the data stays.
    pub fn reset(&mut self) {
        *self = Self {
            changes: self.changes,
            used_bytes_peak: self.used_bytes_peak,
            ..Self::default()
        };
    }

    /// Time that all commands took.
    pub fn commands_ns(&self) -> u64 {
        self.commands
            .iter()
            .map(|command| command.nanoseconds)
            .sum()
    }

    pub fn count_call(&mut self, command: usize, took_ns: u64, in_histogram: bool) {
        self.commands_processed += 1;
        let counted = self.command_mut(command);
        counted.calls += 1;
        counted.nanoseconds += took_ns;
        if in_histogram {
            match self.histograms.get_mut(command) {
                Some(Some(histogram)) => histogram.add(took_ns),
                _ => self.first_in_histogram(command, took_ns),
            }
        }
    }

    #[cold]
    fn first_in_histogram(&mut self, command: usize, took_ns: u64) {
        if self.histograms.len() <= command {
            self.histograms.resize(command + 1, None);
        }
        let histogram = self.histograms[command].get_or_insert_default();
        histogram.add(took_ns);
    }

    /// How long calls of a command took; `None` when none was measured.
    pub fn histogram(&self, command: usize) -> Option<&Histogram> {
        self.histograms.get(command)?.as_ref()
    }

    pub fn count_rejected(&mut self, command: usize) {
        self.command_mut(command).rejected += 1;
    }

    pub fn count_failed(&mut self, command: usize) {
        self.command_mut(command).failed += 1;
    }

    fn command_mut(&mut self, command: usize) -> &mut CommandStats {
        if self.commands.len() <= command {
            self.commands.resize(command + 1, CommandStats::default());
        }
        &mut self.commands[command]
    }

    /// What was counted of a command, by its index.
    pub fn command(&self, command: usize) -> CommandStats {
        self.commands.get(command).copied().unwrap_or_default()
    }

    /// Calls of a command, by its index.
    pub fn calls(&self, command: usize) -> u64 {
        self.command(command).calls
    }

    /// Counts the error of a script, unless it is known.
    pub fn count_error_of_script(&mut self, text: &[u8]) {
        if !std::mem::take(&mut self.script_error_is_known) {
            self.count_code(text, SCRIPT_CODES_MAX);
        }
    }

    /// Counts an error reply; `text` begins with its code.
    pub fn count_error(&mut self, text: &[u8]) {
        self.count_code(text, ERROR_CODES_MAX);
    }

    fn count_code(&mut self, text: &[u8], codes_max: usize) {
        self.error_replies += 1;
        // As in Redis: a text whose first word is long has no code, and what has a meaning in the
        // lines of INFO is not shown.
        let mut start = text.iter().take(ERROR_CODE_BYTES_MAX);
        let code = start.position(|byte| *byte == b' ');
        let code = code.map_or(&b"ERR"[..], |end| &text[..end]);
        let code = String::from_utf8_lossy(code).replace(['#', ':', '\r', '\n'], "_");
        let known = self.errors.len() < codes_max || self.errors.contains_key(&code);
        let code = if known { &code } else { OTHER_CODES };
        *self.errors.entry(code.to_owned()).or_default() += 1;
    }

    pub fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors
            .iter()
            .map(|(code, count)| (code.as_str(), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_scripts_make_up_hide_no_others() {
        let mut stats = Stats::default();
        for number in 0..200 {
            stats.count_error_of_script(format!("CODE{number} text").as_bytes());
        }
        stats.count_error(b"ERR text");
        let of = |wanted: &str| stats.errors().find(|(code, _)| *code == wanted);
        assert_eq!(of("CODE127"), Some(("CODE127", 1)));
        assert_eq!(of("CODE128"), None);
        assert_eq!(of(OTHER_CODES), Some((OTHER_CODES, 72)));
        assert_eq!(of("ERR"), Some(("ERR", 1)));
    }

    #[test]
    fn the_code_of_an_error_goes_up_to_its_first_space() {
        let mut stats = Stats::default();
        stats.count_error(b"MY_ERR-1 text");
        stats.count_error(b"a#b:c text");
        let codes: Vec<&str> = stats.errors().map(|(code, _)| code).collect();
        assert_eq!(codes, ["MY_ERR-1", "a_b_c"]);
        stats.count_error(b"alone");
        stats.count_error(b"a-first-word-that-is-too-long-for-a-code text");
        let codes: Vec<&str> = stats.errors().map(|(code, _)| code).collect();
        assert_eq!(codes, ["ERR", "MY_ERR-1", "a_b_c"]);
    }
}
