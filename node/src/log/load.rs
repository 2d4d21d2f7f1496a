//! Loading: the base, then the logs on top of it, in slices so that the executor can answer
//! meanwhile.
//!
//! A torn tail (the last record was not written whole) is cut and reported. Damage anywhere else
//! stops the load: the records after it cannot be trusted to follow.

use super::Segment;
use super::files::{Directory, FilesError, LogFile, Manifest, io_error};
use super::record::{self, RecordError};
use crate::execute::{Engine, ReplayError};
use crate::keyspace::entry::Value;
use crate::rdb::{RdbError, RdbItem, RdbReader};
use protocol::admin::EpochStart;
use protocol::status::Position;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use thiserror::Error;

/// Bytes read from a file at once.
const SLICE_BYTES: usize = 1024 * 1024;

#[derive(Debug, Error)]
pub enum LoadError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("{path} is damaged: {source}")]
    Base { path: PathBuf, source: RdbError },
    #[error("{path} ends before its end mark")]
    BaseTruncated { path: PathBuf },
    #[error("{path} is damaged in the middle: {source}")]
    Record { path: PathBuf, source: RecordError },
    #[error("{path} has effects that cannot be replayed: {source}")]
    Effects { path: PathBuf, source: ReplayError },
}

/// What was loaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub position: Position,
    pub history: Vec<EpochStart>,
    pub segments: Vec<Segment>,
    pub manifest: Manifest,
    /// Bytes of a torn record cut from the last log.
    pub torn_bytes: u64,
}

/// Loads what the manifest names into an empty engine. `breathe` is awaited between slices.
pub async fn load(
    directory: &Directory,
    manifest: Manifest,
    with_engine: impl Fn(
        &mut dyn FnMut(&mut Engine) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError>,
    mut breathe: impl AsyncFnMut(),
) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded {
        history: manifest.history.clone(),
        ..Loaded::default()
    };
    if let Some(base) = &manifest.base {
        let path = directory.path_of(&base.name);
        load_base(&path, &with_engine, &mut breathe).await?;
        loaded.position = Position {
            epoch: base.epoch,
            offset: base.offset,
        };
    } else if let Some(first) = manifest.logs.first() {
        loaded.position.offset = first.start;
    }
    for (index, file) in manifest.logs.iter().enumerate() {
        let last = index + 1 == manifest.logs.len();
        let path = directory.path_of(&file.name);
        loaded.segments.push(Segment {
            start: file.start,
            path: path.clone(),
        });
        // A rewrite that was cut short leaves logs from before the base that is not there yet.
        if loaded.position.offset < file.start {
            let gap = RecordError::Offset {
                expected: loaded.position.offset,
                found: file.start,
            };
            return Err(LoadError::Record { path, source: gap });
        }
        let whole = load_log(&path, &mut loaded, &with_engine, &mut breathe).await;
        match whole {
            Ok(0) => {}
            Ok(torn) if last => {
                loaded.torn_bytes = torn;
                cut(directory, file, loaded.position.offset)?;
            }
            Ok(_) => {
                let expected = loaded.position.offset;
                return Err(LoadError::Record {
                    path,
                    source: RecordError::Header { expected },
                });
            }
            Err(error) => return Err(error),
        }
    }
    loaded.manifest = manifest;
    Ok(loaded)
}

fn cut(directory: &Directory, file: &LogFile, end: u64) -> Result<(), FilesError> {
    directory.truncate(&file.name, end - file.start)
}

async fn load_base(
    path: &PathBuf,
    with_engine: &impl Fn(
        &mut dyn FnMut(&mut Engine) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError>,
    breathe: &mut impl AsyncFnMut(),
) -> Result<(), LoadError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let mut reader = RdbReader::default();
    let mut slice = vec![0; SLICE_BYTES];
    loop {
        let count = file.read(&mut slice).map_err(io_error("read", path))?;
        if count == 0 {
            return Err(LoadError::BaseTruncated { path: path.clone() });
        }
        reader.feed(&slice[..count]);
        let mut ended = false;
        let mut broken = None;
        let fed = with_engine(&mut |engine| {
            match insert_items(&mut reader, engine) {
                Ok(end) => ended = end,
                Err(error) => broken = Some(error),
            }
            Ok(())
        });
        fed.map_err(|source| LoadError::Effects {
            path: path.clone(),
            source,
        })?;
        if let Some(source) = broken {
            return Err(LoadError::Base {
                path: path.clone(),
                source,
            });
        }
        if ended {
            return Ok(());
        }
        breathe().await;
    }
}

/// Inserts the items that are whole; `true` when the end mark was among them.
pub fn insert_items(reader: &mut RdbReader, engine: &mut Engine) -> Result<bool, RdbError> {
    let limits = engine.rdb_limits();
    while let Some(item) = reader.next_item(&limits)? {
        match item {
            RdbItem::Entry {
                key,
                value,
                expires_at_ms,
            } => {
                insert(engine, &key, value, expires_at_ms);
            }
            RdbItem::Function { code } => {
                let loaded = engine.scripts.libraries.load(&code, true);
                loaded.map_err(|text| {
                    RdbError::Function(String::from_utf8_lossy(&text).into_owned())
                })?;
            }
            RdbItem::Aux { name, value } => engine.restore_aux(&name, &value),
            RdbItem::End => return Ok(true),
        }
    }
    Ok(false)
}

fn insert(engine: &mut Engine, key: &[u8], value: Value, expires_at_ms: Option<u64>) {
    let hashed = engine.keyspace.hashed(key);
    engine.keyspace.insert(&hashed, value, expires_at_ms, 0);
}

/// Replays one log file from the loaded position on; gives the bytes of a torn record at its end.
async fn load_log(
    path: &PathBuf,
    loaded: &mut Loaded,
    with_engine: &impl Fn(
        &mut dyn FnMut(&mut Engine) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError>,
    breathe: &mut impl AsyncFnMut(),
) -> Result<u64, LoadError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let start = loaded.segments.last().map_or(0, |segment| segment.start);
    let mut buffer: Vec<u8> = Vec::new();
    let mut at = start;
    let mut slice = vec![0; SLICE_BYTES];
    loop {
        let count = file.read(&mut slice).map_err(io_error("read", path))?;
        buffer.extend_from_slice(&slice[..count]);
        let mut used = 0;
        loop {
            let record = match record::decode(&buffer[used..], at) {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(_) if count == 0 && is_last(&buffer[used..]) => {
                    return Ok((buffer.len() - used) as u64);
                }
                // More of the file has to be seen before a bad record is known to be its last.
                Err(_) if count > 0 && buffer.len() - used < SLICE_BYTES => break,
                Err(source) => {
                    return Err(LoadError::Record {
                        path: path.clone(),
                        source,
                    });
                }
            };
            let end = used + record.len();
            if record.offset >= loaded.position.offset {
                let effects = &buffer[used + record.header_bytes..end];
                let replayed = with_engine(&mut |engine| {
                    let done = engine.replay(effects).map(|_| ());
                    engine.effects.clear();
                    done
                });
                replayed.map_err(|source| LoadError::Effects {
                    path: path.clone(),
                    source,
                })?;
                note(loaded, record.epoch, record.offset, record.len() as u64);
            }
            at += record.len() as u64;
            used = end;
        }
        buffer.drain(..used);
        if count == 0 {
            return Ok(buffer.len() as u64);
        }
        breathe().await;
    }
}

/// Whether a record that is wrong can be one whose writing was cut short: no record follows it.
fn is_last(bytes: &[u8]) -> bool {
    !bytes
        .windows(6)
        .skip(1)
        .any(|window| window.starts_with(b"\n#KV "))
}

fn note(loaded: &mut Loaded, epoch: u64, offset: u64, length: u64) {
    if loaded.history.last().is_none_or(|last| last.epoch < epoch) {
        loaded.history.push(EpochStart { epoch, offset });
    }
    loaded.position = Position {
        epoch,
        offset: offset + length,
    };
}
