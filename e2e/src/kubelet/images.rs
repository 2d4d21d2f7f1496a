//! Which local program stands for a container image.
//!
//! Pure. There are no images here: a table maps the name of an image (its last path component,
//! without tag and digest) to a program of this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Image names and their programs.
#[derive(Debug, Clone, Default)]
pub struct Images {
    programs: BTreeMap<String, PathBuf>,
    variables: BTreeMap<String, Vec<(String, String)>>,
}

impl Images {
    #[must_use]
    pub fn with(mut self, name: &str, program: impl Into<PathBuf>) -> Self {
        self.programs.insert(name.to_owned(), program.into());
        self
    }

    /// Gives the image a variable of its own, as `ENV` does in a Dockerfile. `$(POD_IP)` in it is
    /// replaced by the pod's address; a container's variable of the same name wins.
    #[must_use]
    pub fn with_variable(mut self, name: &str, variable: &str, value: &str) -> Self {
        let variables = self.variables.entry(name.to_owned()).or_default();
        variables.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// The image's own variables.
    pub fn variables(&self, image: &str) -> &[(String, String)] {
        self.variables
            .get(name_of(image))
            .map_or(&[], Vec::as_slice)
    }

    /// The program of an image; none when the image cannot be "pulled".
    pub fn program(&self, image: &str) -> Option<&PathBuf> {
        self.programs.get(name_of(image))
    }

    /// The command line of a container of this image: `command` replaces the entry point, `args`
    /// follow. A command that names the image's own program means the mapped one.
    pub fn command_line(
        &self,
        image: &str,
        command: &[String],
        args: &[String],
    ) -> Option<Vec<String>> {
        let program = self.program(image)?.to_string_lossy().into_owned();
        let mut line = match command.split_first() {
            None => vec![program],
            Some((first, rest)) => {
                let own = first.rsplit('/').next() == Some(name_of(image));
                let first = if own { program } else { first.clone() };
                std::iter::once(first).chain(rest.iter().cloned()).collect()
            }
        };
        line.extend_from_slice(args);
        Some(line)
    }
}

/// `kv-node` of `registry.example:5000/x/kv-node:1.0@sha256:…`.
fn name_of(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(':').next().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(image: &str, command: &[&str], args: &[&str], expected: Option<&str>) {
        let images = Images::default().with("kv-node", "/built/kv-node");
        let owned = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let line = images.command_line(image, &owned(command), &owned(args));
        assert_eq!(line.map(|line| line.join(" ")).as_deref(), expected);
    }

    #[test]
    fn images_are_known_by_their_last_component() {
        check("kv-node", &[], &["a"], Some("/built/kv-node a"));
        check(
            "r.example:5000/x/kv-node:1@sha256:0",
            &[],
            &[],
            Some("/built/kv-node"),
        );
        check("kv-nodes:1", &[], &[], None);
    }

    #[test]
    fn a_command_replaces_the_entry_point() {
        check(
            "kv-node",
            &["/kv-node", "x"],
            &["a"],
            Some("/built/kv-node x a"),
        );
        check("kv-node", &["/bin/sh", "-c"], &["a"], Some("/bin/sh -c a"));
    }
}
