//! The ACL file on the disk: read at the start and by `ACL LOAD`, replaced by `ACL SAVE`.

use super::Member;
use crate::acl::file::Request;
use protocol::resp::{Protocol, ReplyWriter};
use std::io::{self, Write as _};
use std::path::Path;
use tokio::task::spawn_blocking;

const NOT_SAVED: &str = "ERR There was an error trying to save the ACLs. Please check the server \
                         logs for more information";

impl Member {
    /// Answers `ACL LOAD` and `ACL SAVE`; the executor does not wait for the disk.
    pub async fn answer_acl_file(&self, request: Request, out: &mut Vec<u8>) {
        let path = self.with(|state| state.engine.config.acl_file.clone());
        let mut reply = ReplyWriter::new(out, Protocol::Resp2);
        match request {
            Request::Load => {
                let read = spawn_blocking({
                    let path = path.clone();
                    move || read(&path)
                });
                match read.await.map_err(|error| error.to_string()).flatten() {
                    Err(error) => reply.error(&format!("ERR {error}")),
                    Ok(text) => match self.load_acl(&path, &text) {
                        Err(error) => reply.error(&format!("ERR {error}")),
                        Ok((end, reign)) if self.committed(end, reign).await => reply.ok(),
                        Ok(_) => reply.error("ERR the epoch ended; the users may not be kept"),
                    },
                }
            }
            Request::Save(text) => {
                let path = path.clone();
                let saved = spawn_blocking(move || replace(Path::new(&path), &text));
                match saved.await.map_err(io::Error::other).flatten() {
                    Ok(()) => reply.ok(),
                    Err(error) => {
                        tracing::warn!("saving the ACL file: {error}");
                        reply.error(NOT_SAVED);
                    }
                }
            }
        }
    }

    /// Loads the file when the process starts; nobody may connect before.
    pub fn load_acl_at_start(&self) -> Result<(), String> {
        let path = self.with(|state| state.engine.config.acl_file.clone());
        if path.is_empty() {
            return Ok(());
        }
        let text = read(&path)?;
        self.with(|state| state.engine.load_users(&path, &text))
    }

    /// Takes the users of the file; gives the end of the log with them, and the reign.
    fn load_acl(&self, path: &str, text: &[u8]) -> Result<(u64, u64), String> {
        self.with(|state| {
            if let Err(refusal) = state.engine.view.check_settings() {
                return Err(refusal.to_string());
            }
            state.engine.load_users(path, text)?;
            let end = state.append_effects();
            state.deliver(end.unwrap_or(0));
            Ok((end.unwrap_or(0), state.reign))
        })
    }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &str, error: &io::Error) -> String {
    format!("Error loading ACLs, opening file '{path}': {error}")
}

/// Puts a new file in the place of the old one; whoever reads sees one or the other.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
