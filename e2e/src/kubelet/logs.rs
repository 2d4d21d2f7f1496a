//! Containers' output: one file per run, of which the present and the previous one are kept.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where logs lie: `<root>/<namespace>_<pod>_<uid>/<container>/<restarts>.log`, as on a real node.
#[derive(Debug, Clone)]
pub struct Logs {
    root: PathBuf,
}

impl Logs {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn directory(&self, pod: &Pod) -> PathBuf {
        let namespace = pod.namespace().unwrap_or_default();
        let uid = pod.uid().unwrap_or_default();
        self.root
            .join(format!("{namespace}_{}_{uid}", pod.name_any()))
    }

    /// A new file for this run; files before the previous run's are removed.
    pub fn open(&self, pod: &Pod, container: &str, restarts: i32) -> io::Result<File> {
        let directory = self.directory(pod).join(container);
        std::fs::create_dir_all(&directory)?;
        for (run, path) in runs(&directory)? {
            if run < restarts - 1 {
                std::fs::remove_file(path)?;
            }
        }
        let path = directory.join(format!("{restarts}.log"));
        File::options().create(true).append(true).open(path)
    }

    /// The file of the present run of a pod's container, or of the one before.
    pub fn file(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Option<PathBuf> {
        let prefix = format!("{namespace}_{pod}_");
        let mut newest: Option<(std::time::SystemTime, PathBuf)> = None;
        for entry in std::fs::read_dir(&self.root).ok()?.flatten() {
            let name = entry.file_name();
            let is_pod = name.to_string_lossy().strip_prefix(&prefix).is_some();
            let Some(made) = entry.metadata().and_then(|meta| meta.created()).ok() else {
                continue;
            };
            if is_pod && newest.as_ref().is_none_or(|(time, _)| made > *time) {
                newest = Some((made, entry.path()));
            }
        }
        let mut runs = runs(&newest?.1.join(container)).ok()?;
        runs.sort_unstable();
        runs.into_iter()
            .rev()
            .nth(usize::from(previous))
            .map(|(_, path)| path)
    }

    /// Forgets a pod's logs.
    pub fn remove(&self, pod: &Pod) -> io::Result<()> {
        match std::fs::remove_dir_all(self.directory(pod)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The runs' numbers and files.
fn runs(directory: &Path) -> io::Result<Vec<(i32, PathBuf)>> {
    let mut runs = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_string_lossy().parse().ok());
        runs.extend(number.map(|number| (number, path)));
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write;

    #[test]
    fn the_present_and_the_previous_run_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let logs = Logs::new(root.path().to_owned());
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}}),
        )
        .unwrap();
        for run in 0..12 {
            let mut log = logs.open(&pod, "c", run).unwrap();
            write!(log, "run {run}").unwrap();
        }
        let read = |previous| {
            let path = logs.file("n", "p", "c", previous)?;
            std::fs::read_to_string(path).ok()
        };
        assert_eq!(read(false).as_deref(), Some("run 11"));
        assert_eq!(read(true).as_deref(), Some("run 10"));
        assert_eq!(runs(&logs.directory(&pod).join("c")).unwrap().len(), 2);
        assert_eq!(logs.file("n", "other", "c", false), None);
        logs.remove(&pod).unwrap();
        assert_eq!(read(false), None);
    }
}
