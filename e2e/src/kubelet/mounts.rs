//! Puts real directories in the place of mount paths in a container's arguments and environment.
//!
//! Pure. A process has no file system of its own, so `/data` of its manifest must become the
//! directory that stands for the volume: where a value equals the path or begins with it, also
//! after an `=`.

use std::path::PathBuf;

/// A volume of a container: the path in the manifest, and what stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub path: String,
    pub directory: PathBuf,
}

/// The text with mount paths replaced; the longest path wins.
pub fn rewrite(text: &str, mounts: &[Mount]) -> String {
    if let Some(rewritten) = rewrite_path(text, mounts) {
        return rewritten;
    }
    let assigned = text.match_indices('=').find_map(|(at, _)| {
        let (name, value) = text.split_at(at + 1);
        Some(format!("{name}{}", rewrite_path(value, mounts)?))
    });
    assigned.unwrap_or_else(|| text.to_owned())
}

fn rewrite_path(text: &str, mounts: &[Mount]) -> Option<String> {
    let best = mounts
        .iter()
        .filter(|mount| is_below(text, &mount.path))
        .max_by_key(|mount| mount.path.len())?;
    let path = best.path.trim_end_matches('/');
    Some(format!(
        "{}{}",
        best.directory.display(),
        &text[path.len()..]
    ))
}

fn is_below(text: &str, path: &str) -> bool {
    let rest = text.strip_prefix(path.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_replaced_alone_and_after_an_equals_sign() {
        let mount = |path: &str, directory: &str| Mount {
            path: path.to_owned(),
            directory: directory.into(),
        };
        let mounts = [
            mount("/data", "/real/d"),
            mount("/data/inner", "/real/i"),
            mount("/etc/kv/", "/real/k"),
        ];
        for (text, expected) in [
            ("/data", "/real/d"),
            ("/data/x", "/real/d/x"),
            ("/data/inner/x", "/real/i/x"),
            ("/database", "/database"),
            ("--dir=/data", "--dir=/real/d"),
            ("--config=dir=/data", "--config=dir=/real/d"),
            ("--file=/etc/kv/password", "--file=/real/k/password"),
            ("see /data", "see /data"),
            ("--port=6379", "--port=6379"),
        ] {
            assert_eq!(rewrite(text, &mounts), expected, "{text}");
        }
    }
}
