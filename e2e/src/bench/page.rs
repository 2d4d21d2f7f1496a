//! `docs/performance.md`: a section per benchmark, replaced by the benchmark's last run.

use super::Table;
use anyhow::Context;
use std::fs;
use std::path::PathBuf;

/// A part of the page between two comments that carry its name.
pub struct Section {
    pub name: &'static str,
}

impl Section {
    /// Puts a table and where it was measured into the page; the rest of the page stays.
    pub fn write(&self, table: &Table, command: &str) -> anyhow::Result<()> {
        let path = PathBuf::from(PAGE);
        let shown = path.display();
        let old = fs::read_to_string(&path).with_context(|| format!("reading {shown}"))?;
        let text = format!(
            "`{command}` on {}:\n\n```\n{table}```\n",
            machine().unwrap_or_else(|| "a machine that does not say what it is".to_owned())
        );
        let new = self.replaced(&old, &text).with_context(|| {
            format!(
                "{shown} has no section between <!-- {0} --> and <!-- /{0} -->",
                self.name
            )
        })?;
        fs::write(&path, new).with_context(|| format!("writing {shown}"))
    }

    fn replaced(&self, page: &str, text: &str) -> Option<String> {
        let (before, rest) = page.split_once(&format!("<!-- {} -->\n", self.name))?;
        let (_, after) = rest.split_once(&format!("<!-- /{} -->", self.name))?;
        Some(format!(
            "{before}<!-- {0} -->\n{text}<!-- /{0} -->{after}",
            self.name
        ))
    }
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// Processor, cores and memory, as the kernel tells them.
fn machine() -> Option<String> {
    let processors = fs::read_to_string("/proc/cpuinfo").ok()?;
    let mut models = processors
        .lines()
        .filter(|line| line.starts_with("model name"));
    let cores = models.clone().count();
    let model = models.next_back()?.split_once(": ")?.1.to_owned();
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes: u64 = memory.split_whitespace().nth(1)?.parse().ok()?;
    Some(format!("{cores} cores of {model}, {} GiB", kibibytes >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let section = Section { name: "memory" };
        let page = "before\n<!-- memory -->\nold\n<!-- /memory -->\nafter\n";
        let new = section.replaced(page, "new\n");
        assert_eq!(
            new.as_deref(),
            Some("before\n<!-- memory -->\nnew\n<!-- /memory -->\nafter\n")
        );
        assert_eq!(section.replaced("nothing", "new"), None);
    }
}
