//! The whole state in a directory, so that a restart finds it: written as one file, replaced
//! atomically, a moment after each change and at shutdown.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::error;

use super::auth::SavedTokens;
use super::server::Server;
use super::store::{Key, Objects};
use super::tls::Authority;

/// Changes come in bursts; one write covers a burst.
const DEBOUNCE: Duration = Duration::from_millis(200);
const FILE: &str = "apiserver.json";
const TEMPORARY: &str = "apiserver.json.new";

/// Everything that survives.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    pub authority: Authority,
    pub tokens: SavedTokens,
    /// Taken again when free, so that old kubeconfigs keep working.
    pub port: u16,
    pub revision: u64,
    objects: Vec<(String, String, String, Value)>,
}

impl Saved {
    /// The state of an earlier run; `None` when there was none.
    pub fn load(directory: &Path) -> anyhow::Result<Option<Self>> {
        let path = directory.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("read {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    pub fn objects(&mut self) -> Objects {
        let rows = std::mem::take(&mut self.objects).into_iter();
        let rows = rows.map(|(resource, namespace, name, object)| {
            (
                Key {
                    resource,
                    namespace,
                    name,
                },
                object,
            )
        });
        Objects::restore(self.revision, rows)
    }
}

/// What to save, where, and beside what.
pub struct Keeper {
    pub server: Arc<Server>,
    pub directory: PathBuf,
    pub authority: Authority,
    pub port: u16,
}

impl Keeper {
    /// Saves after changes until the server stops, and once more then.
    pub async fn run(self) {
        let mut changed = self.server.changed.subscribe();
        let mut stopped = false;
        while !stopped {
            tokio::select! {
                () = self.server.stop.cancelled() => stopped = true,
                next = changed.changed() => stopped = next.is_err(),
            }
            if !stopped {
                tokio::select! {
                    () = self.server.stop.cancelled() => stopped = true,
                    () = tokio::time::sleep(DEBOUNCE) => {}
                }
            }
            changed.borrow_and_update();
            if let Err(problem) = self.save() {
                error!(error = format!("{problem:#}"), "the state was not saved");
            }
        }
    }

    pub fn save(&self) -> anyhow::Result<()> {
        let objects = self.server.objects();
        let rows = objects.all().map(|(key, object)| {
            let key = key.clone();
            (key.resource, key.namespace, key.name, Value::clone(object))
        });
        let saved = Saved {
            authority: self.authority.clone(),
            tokens: self.server.tokens.saved(),
            port: self.port,
            revision: objects.revision(),
            objects: rows.collect(),
        };
        drop(objects);
        let bytes = serde_json::to_vec(&saved).context("write the state as JSON")?;
        let temporary = self.directory.join(TEMPORARY);
        let mut file =
            private_file(&temporary).with_context(|| format!("create {}", temporary.display()))?;
        file.write_all(&bytes).context("write the state")?;
        file.sync_all().context("flush the state")?;
        std::fs::rename(&temporary, self.directory.join(FILE)).context("replace the state")
    }
}

/// Readable by its owner only: it holds keys and tokens.
fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
