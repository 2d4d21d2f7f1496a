//! Programs that this project did not write and that its tests compare with. Where one is missing
//! the test says so and passes, unless `KV_REQUIRE_TOOLS` is set, as it is in CI.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A program that is there.
#[derive(Debug, Clone)]
pub struct Tool {
    pub path: PathBuf,
}

/// The program of that name in `PATH`, or in `.tools`, where `.ci/tools` puts some.
///
/// # Panics
/// When it is missing and `KV_REQUIRE_TOOLS` is set.
pub fn tool(name: &str) -> Option<Tool> {
    let fetched = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools"));
    let path = env::var_os("PATH").unwrap_or_default();
    // The fetched ones first: a machine may have an older kubectl of its own.
    let directories = std::iter::once(fetched).chain(env::split_paths(&path));
    let found = directories
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        let required = env::var_os("KV_REQUIRE_TOOLS").is_some();
        assert!(!required, "{name} is missing and KV_REQUIRE_TOOLS is set");
        eprintln!("SKIPPED: {name} is not installed");
    }
    found.map(|path| Tool { path })
}

impl Tool {
    /// Runs it to its end. Gives what it printed; what it printed as errors, when it failed.
    pub fn run(&self, arguments: &[&str]) -> Result<String, String> {
        self.run_with(arguments, |command| command)
    }

    /// The same with changes to the command, such as its environment.
    pub fn run_with(
        &self,
        arguments: &[&str],
        prepare: impl Fn(&mut Command) -> &mut Command,
    ) -> Result<String, String> {
        let mut command = Command::new(&self.path);
        command.args(arguments);
        let ran = prepare(&mut command).output();
        let name = self.path.display();
        let Output {
            status,
            stdout,
            stderr,
        } = ran.map_err(|error| format!("{name}: {error}"))?;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        if status.success() {
            return Ok(stdout);
        }
        let stderr = String::from_utf8_lossy(&stderr);
        Err(format!(
            "{name} {} ended with {status}\n{stdout}{stderr}",
            arguments.join(" ")
        ))
    }
}
