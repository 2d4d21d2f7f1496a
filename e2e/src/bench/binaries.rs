//! The binaries under test, built the way the benchmark itself was built.

use anyhow::{Context, bail};
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Builds a binary of the workspace and gives its path, which is beside the running program.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("finding the running program")?;
    let directory = program.parent().context("the program is in no directory")?;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--bin", name]);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if directory.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().context("running cargo")?;
    if !status.success() {
        bail!("building {name} failed");
    }
    Ok(directory.join(name))
}
