//! Cuts links between pods in the kernel, by policy-routing rules (`ip rule` of iproute2, as root).
//!
//! The rule that finds local addresses stands first by default, before any other can be heard.
//! While a link is cut it stands behind the rules of cut links, which changes nothing else; after
//! the last one is healed it goes back. A lock file keeps control planes on one machine from
//! crossing here: a machine without that rule has no network.

use super::faults::FaultError;
use std::fs::File;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the rules of cut links stand, and the lookup of local addresses behind them.
const CUT: &str = "10";
const LOCAL: &str = "100";
const LOCK: &str = "kvcluster-links.lock";

/// The links one control plane has cut: from, to. They are healed when this is dropped.
#[derive(Debug, Default)]
pub struct Links(Mutex<Vec<(String, String)>>);

impl Links {
    fn known(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing goes between the two addresses any more, in either direction.
    pub fn cut(&self, one: &str, other: &str) -> Result<(), FaultError> {
        let _lock = lock()?;
        let rules = ip(&["rule", "show"])?;
        if !has_local_lookup(&rules, LOCAL) {
            ip(&["rule", "add", "pref", LOCAL, "lookup", "local"])?;
        }
        if has_local_lookup(&rules, "0") {
            ip(&["rule", "del", "pref", "0", "lookup", "local"])?;
        }
        for (from, to) in [(one, other), (other, one)] {
            ip(&[
                "rule",
                "add",
                "pref",
                CUT,
                "from",
                from,
                "to",
                to,
                "unreachable",
            ])?;
            self.known().push((from.to_owned(), to.to_owned()));
        }
        Ok(())
    }

    /// Heals every link that was cut here.
    pub fn heal(&self) -> Result<(), FaultError> {
        let mut known = self.known();
        if known.is_empty() {
            return Ok(());
        }
        let _lock = lock()?;
        while let Some((from, to)) = known.last() {
            ip(&["rule", "del", "pref", CUT, "from", from, "to", to])?;
            known.pop();
        }
        let rules = ip(&["rule", "show"])?;
        if rules
            .lines()
            .any(|line| line.starts_with(&format!("{CUT}:")))
        {
            return Ok(());
        }
        if !has_local_lookup(&rules, "0") {
            ip(&["rule", "add", "pref", "0", "lookup", "local"])?;
        }
        if has_local_lookup(&rules, LOCAL) {
            ip(&["rule", "del", "pref", LOCAL, "lookup", "local"])?;
        }
        Ok(())
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Err(error) = self.heal() {
            tracing::error!(%error, "healing the links that were cut");
        }
    }
}

fn has_local_lookup(rules: &str, pref: &str) -> bool {
    let prefix = format!("{pref}:");
    let mut lines = rules.lines();
    lines.any(|line| line.starts_with(&prefix) && line.contains("lookup local"))
}

fn lock() -> Result<File, FaultError> {
    let path = std::env::temp_dir().join(LOCK);
    let opened = File::options().create(true).append(true).open(path);
    let locked = opened.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| FaultError::Unsupported(error.to_string()))
}

fn ip(arguments: &[&str]) -> Result<String, FaultError> {
    let ran = Command::new("ip").args(arguments).output();
    let output = ran.map_err(|error| FaultError::Unsupported(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(FaultError::Unsupported(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_lookup_is_found_by_its_place() {
        let rules = "0:\tfrom all lookup local\n10:\tfrom 127.1.0.2 to 127.1.0.3 unreachable\n\
            32766:\tfrom all lookup main\n";
        assert!(has_local_lookup(rules, "0"));
        assert!(!has_local_lookup(rules, "100"));
        assert!(!has_local_lookup(rules, "10"));
    }
}
