//! The files on the volume: which there are, and how they are replaced so that a crash at any
//! moment leaves either the old or the new.
//!
//! `meta` (identity, promise, topology), `manifest` (which base and logs make up the data),
//! `base-<n>.rdb`, `log-<n>.aof`, and `rollback/` for divergent tails.

use protocol::admin::EpochStart;
use protocol::topology::Topology;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum FilesError {
    #[error("cannot {act} {path}: {source}")]
    Io {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path} is damaged: {source}")]
    Damaged {
        path: PathBuf,
        source: serde_json::Error,
    },
}

/// Who this member is and what it has promised.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// 40 hexadecimal digits.
    pub id: String,
    pub promised_epoch: u64,
    /// The last epoch in which this member was primary, or was about to be.
    #[serde(default)]
    pub opened_epoch: u64,
    pub topology: Option<Topology>,
    /// Nothing acknowledged was ever forgotten.
    pub clean: bool,
    /// Boot of the machine in which the member last ran.
    pub boot_id: String,
    /// The last process stopped after an fsync of everything.
    pub stopped_well: bool,
}

/// Which files make up the data.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub base: Option<BaseFile>,
    pub logs: Vec<LogFile>,
    /// The epochs before the first log.
    pub history: Vec<EpochStart>,
    /// Number for the next file.
    pub next: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct BaseFile {
    pub name: String,
    /// The state it holds is that of the log at this offset.
    pub offset: u64,
    pub epoch: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct LogFile {
    pub name: String,
    /// Offset of its first byte.
    pub start: u64,
}

/// The directory of a member.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens the directory, making it if need be, and removes what a crash left half-written.
    pub fn open(path: &Path) -> Result<Self, FilesError> {
        fs::create_dir_all(path).map_err(io_error("create", path))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn read_meta(&self) -> Result<Option<Meta>, FilesError> {
        self.read_json("meta")
    }

    /// Replaces `meta`; durable when this returns.
    pub fn write_meta(&self, meta: &Meta) -> Result<(), FilesError> {
        self.write_json("meta", meta)
    }

    pub fn read_manifest(&self) -> Result<Option<Manifest>, FilesError> {
        self.read_json("manifest")
    }

    /// Replaces `manifest`; durable when this returns.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), FilesError> {
        self.write_json("manifest", manifest)
    }

    /// Makes a file, or truncates it.
    pub fn create(&self, name: &str) -> Result<File, FilesError> {
        let path = self.path_of(name);
        File::create(&path).map_err(io_error("create", &path))
    }

    /// Opens a log to go on writing at its end.
    pub fn append(&self, name: &str) -> Result<File, FilesError> {
        let path = self.path_of(name);
        let opened = fs::OpenOptions::new().append(true).create(true).open(&path);
        opened.map_err(io_error("open", &path))
    }

    /// Cuts a file.
    pub fn truncate(&self, name: &str, length: u64) -> Result<(), FilesError> {
        let path = self.path_of(name);
        let file = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        file.set_len(length).map_err(io_error("truncate", &path))?;
        file.sync_all().map_err(io_error("sync", &path))
    }

    /// Moves a finished file to its name.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FilesError> {
        let target = self.path_of(to);
        fs::rename(self.path_of(from), &target).map_err(io_error("rename to", &target))?;
        self.sync()
    }

    /// Removes bases and logs that the manifest does not name.
    pub fn remove_unnamed(&self, manifest: &Manifest) -> Result<(), FilesError> {
        let entries = fs::read_dir(&self.path).map_err(io_error("list", &self.path))?;
        for entry in entries {
            let name = entry.map_err(io_error("list", &self.path))?.file_name();
            let name = name.to_string_lossy();
            let data = name.starts_with("base-") || name.starts_with("log-");
            let named = manifest.base.as_ref().is_some_and(|base| base.name == name)
                || manifest.logs.iter().any(|log| log.name == name);
            if data && !named {
                let path = self.path_of(&name);
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Keeps a divergent tail: the bytes that a new primary does not have.
    pub fn write_rollback(&self, start: u64, bytes: &[u8]) -> Result<PathBuf, FilesError> {
        let folder = self.path_of("rollback");
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        let mut number = 0;
        let path = loop {
            let path = folder.join(format!("{start}-{number}.aof"));
            if !path.exists() {
                break path;
            }
            number += 1;
        };
        let write = || -> io::Result<()> {
            let mut file = File::create(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(io_error("write", &path))?;
        Ok(path)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, FilesError> {
        let path = self.path_of(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(FilesError::Io {
                    act: "read",
                    path,
                    source,
                });
            }
        };
        let value = serde_json::from_slice(&bytes);
        value
            .map(Some)
            .map_err(|source| FilesError::Damaged { path, source })
    }

    /// Writes beside the file, fsyncs, renames, fsyncs the directory.
    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), FilesError> {
        let path = self.path_of(name);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            file.write_all(&serde_json::to_vec_pretty(value)?)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(io_error("replace", &path))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), FilesError> {
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        synced.map_err(io_error("sync", &self.path))
    }
}

/// Completes an error with what was tried.
pub fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    move |source| FilesError::Io { act, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_reads_back_and_strays_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        assert_eq!(directory.read_meta().unwrap(), None);
        let meta = Meta {
            id: "x".to_owned(),
            promised_epoch: 3,
            ..Meta::default()
        };
        directory.write_meta(&meta).unwrap();
        assert_eq!(directory.read_meta().unwrap(), Some(meta));
        let log = LogFile {
            name: "log-2.aof".to_owned(),
            start: 7,
        };
        let manifest = Manifest {
            logs: vec![log],
            next: 3,
            ..Manifest::default()
        };
        for name in ["log-1.aof", "log-2.aof", "base-1.rdb", "other"] {
            directory.create(name).unwrap();
        }
        directory.write_manifest(&manifest).unwrap();
        directory.remove_unnamed(&manifest).unwrap();
        let exists = |name: &str| directory.path_of(name).exists();
        assert!(exists("log-2.aof") && exists("other") && exists("manifest"));
        assert!(!exists("log-1.aof") && !exists("base-1.rdb"));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        fs::write(directory.path_of("meta"), b"{").unwrap();
        let error = directory.read_meta().unwrap_err().to_string();
        assert!(error.contains("meta is damaged"), "{error}");
    }
}
