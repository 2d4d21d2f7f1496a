//! Finds `kv-node` and `kv-operator`, building them first where cargo is at hand.
//!
//! They are built in the profile and the target directory of the running program, so that a test
//! never runs an older node than the code beside it.

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use tokio::process::Command;

/// The programs that stand for the images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    pub node: PathBuf,
    pub operator: PathBuf,
}

#[derive(Debug, Error)]
pub enum BinariesError {
    #[error("finding out where this program lies: {0}")]
    Place(io::Error),
    #[error("running cargo: {0}")]
    Cargo(io::Error),
    #[error("cargo could not build kv-node and kv-operator:\n{0}")]
    Build(String),
    #[error("{0} is missing: build it first, or run where cargo is at hand")]
    Missing(PathBuf),
}

impl Binaries {
    /// Builds the binaries, or takes those beside the running program.
    pub async fn ready() -> Result<Self, BinariesError> {
        let own = std::env::current_exe().map_err(BinariesError::Place)?;
        let place = Place::of(&own);
        let cargo = Path::new(env!("CARGO"));
        let manifest = super::workspace_file("Cargo.toml");
        if let Some(target) = &place.target
            && cargo.exists()
            && manifest.exists()
        {
            build(cargo, &manifest, target, &place.profile).await?;
        }
        let found = Self {
            node: place.directory.join("kv-node"),
            operator: place.directory.join("kv-operator"),
        };
        for path in [&found.node, &found.operator] {
            if !path.exists() {
                return Err(BinariesError::Missing(path.clone()));
            }
        }
        Ok(found)
    }
}

/// Where a program of this workspace lies.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The directory of its profile's programs.
    directory: PathBuf,
    /// The target directory; none when the program was moved elsewhere.
    target: Option<PathBuf>,
    /// The name cargo knows the profile by.
    profile: String,
}

impl Place {
    fn of(program: &Path) -> Self {
        let mut directory = program.parent().unwrap_or(Path::new(".")).to_owned();
        if directory.ends_with("deps") || directory.ends_with("examples") {
            directory.pop();
        }
        let name = directory
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let is_target = |target: &&Path| target.join("CACHEDIR.TAG").exists();
        let target = directory.parent().filter(is_target).map(Path::to_owned);
        let profile = match name.as_deref() {
            Some("debug") | None => "dev".to_owned(),
            Some(name) => name.to_owned(),
        };
        Self {
            directory,
            target,
            profile,
        }
    }
}

async fn build(
    cargo: &Path,
    manifest: &Path,
    target: &Path,
    profile: &str,
) -> Result<(), BinariesError> {
    let mut command = Command::new(cargo);
    // Over the whole workspace, so that dependencies get the features they were built with before.
    command.args(["build", "--quiet", "--workspace"]);
    command.args(["--bin", "kv-node", "--bin", "kv-operator"]);
    command.arg("--manifest-path").arg(manifest);
    command.arg("--target-dir").arg(target);
    command.args(["--profile", profile]);
    command.kill_on_drop(true);
    let output = command.output().await.map_err(BinariesError::Cargo)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(BinariesError::Build(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_that_of_the_running_program() {
        let target = tempfile::tempdir().unwrap();
        std::fs::write(target.path().join("CACHEDIR.TAG"), "").unwrap();
        for (program, directory, profile) in [
            ("debug/deps/scenario-0123", "debug", "dev"),
            ("release/playground", "release", "release"),
            ("bench/deps/x", "bench", "bench"),
        ] {
            let place = Place::of(&target.path().join(program));
            let expected = Place {
                directory: target.path().join(directory),
                target: Some(target.path().to_owned()),
                profile: profile.to_owned(),
            };
            assert_eq!(place, expected, "{program}");
        }
    }

    #[test]
    fn a_program_that_was_moved_has_no_target_directory() {
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(
            Place::of(&elsewhere.path().join("bin/playground")).target,
            None
        );
    }
}
