//! `LATENCY GRAPH`: samples as columns, each with its age below it.

use crate::execute::latency::{Sample, Series};
use std::fmt::Write as _;

/// Most samples shown, one column each.
const COLUMNS_MAX: usize = 80;

/// Lines of the drawing.
const ROWS: u64 = 4;

/// The top of a column within a line, from low to high.
const TOPS: [char; 3] = ['_', 'o', '#'];

pub fn draw(name: &str, series: &Series, now_seconds: u64) -> String {
    let hidden = series.samples.len().saturating_sub(COLUMNS_MAX);
    let samples: Vec<Sample> = series.samples.iter().skip(hidden).copied().collect();
    let took = || samples.iter().map(|sample| sample.took_ms);
    let (low, high) = (took().min().unwrap_or(0), took().max().unwrap_or(0));
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        series.max_ms,
        "-".repeat(COLUMNS_MAX)
    );
    let steps = ROWS * TOPS.len() as u64;
    let range = (high - low).max(1);
    for row in (0..ROWS).rev() {
        let line = took().map(|ms| cell(((ms - low) * steps / range).min(steps - 1), row));
        push_line(&mut text, &line.collect::<String>());
    }
    text.push('\n');
    let ages: Vec<Vec<char>> = samples
        .iter()
        .map(|sample| {
            age(now_seconds.saturating_sub(sample.at_seconds))
                .chars()
                .collect()
        })
        .collect();
    let longest = ages.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..longest {
        let line = ages.iter().map(|age| age.get(at).copied().unwrap_or(' '));
        push_line(&mut text, &line.collect::<String>());
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// What a column that is `step` steps high shows in a line.
fn cell(step: u64, row: u64) -> char {
    let tops = TOPS.len() as u64;
    match step.checked_sub(row * tops) {
        None => ' ',
        Some(part) if part < tops => TOPS[part as usize],
        Some(_) => '|',
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::latency::Latency;

    #[test]
    fn each_sample_is_a_column_over_its_age() {
        let mut latency = Latency::default();
        latency.add("command", 100, 10);
        latency.add("command", 150, 20);
        latency.add("command", 159, 40);
        let (name, series) = latency.of(b"command").unwrap();
        let text = draw(name, series, 170);
        let rule = "-".repeat(80);
        let expect = format!(
            "command - high 40 ms, low 10 ms (all time high 40 ms)\n{rule}\n  #\n  |\n o|\n_||\n\n\
             121\nm01\n ss\n"
        );
        assert_eq!(text, expect);
    }
}
