//! Persistence as the member sees it: opening the directory, loading at the start, and rewriting
//! the base when the log has outgrown it. The files themselves are `log`'s.

pub mod rewrite;
pub mod snapshot;

use crate::execute::config::Fsync;
use crate::log::Segment;
use crate::log::disk::Disk;
use crate::log::files::{Directory, FilesError, Manifest, Meta};
use crate::log::load::{LoadError, Loaded, load};
use crate::member::Member;
use std::rc::Rc;

/// Identity of the machine's current run; empty where the kernel does not say.
fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Opens the directory of a member and decides whether it can have forgotten something: it can when
/// the machine stopped before what it had acknowledged was on the disk.
pub fn open(path: &std::path::Path, fsync: Fsync) -> Result<(Directory, Meta), FilesError> {
    let directory = Directory::open(path)?;
    let boot_id = boot_id();
    let meta = match directory.read_meta()? {
        None => Meta {
            id: new_id(),
            clean: true,
            boot_id,
            ..Meta::default()
        },
        Some(meta) => {
            let kept = meta.stopped_well || meta.boot_id == boot_id || fsync == Fsync::Always;
            Meta {
                clean: meta.clean && kept,
                boot_id,
                stopped_well: false,
                ..meta
            }
        }
    };
    directory.write_meta(&meta)?;
    Ok((directory, meta))
}

/// An id as Redis has them: 40 hexadecimal digits.
pub fn new_id() -> String {
    let id = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    id[..40].to_owned()
}

/// Loads what the directory holds and starts to write to it.
pub async fn start(member: &Rc<Member>) -> Result<(), LoadError> {
    if let Some(directory) = &member.directory {
        let manifest = directory.read_manifest()?.unwrap_or_default();
        let loaded = load(
            directory,
            manifest,
            |with| member.with(|state| with(&mut state.engine)),
            async || tokio::task::yield_now().await,
        )
        .await?;
        resume(member, directory, loaded)?;
    }
    member.with(|state| {
        let end = state.log.position().offset;
        if end > 0 {
            state.pending.note_all(end);
        }
        state.loading = false;
        state.refresh_slots();
        state.settle_role();
        state.advance();
        state.announce();
    });
    Ok(())
}

fn resume(member: &Member, directory: &Directory, loaded: Loaded) -> Result<(), LoadError> {
    if loaded.torn_bytes > 0 {
        tracing::warn!(
            bytes = loaded.torn_bytes,
            "cut a record that was not written whole"
        );
    }
    let keys = member.with(|state| {
        let keys = state.engine.keyspace.len();
        state.engine.view.facts.loaded_keys = keys;
        keys
    });
    tracing::info!(
        keys,
        epoch = loaded.position.epoch,
        offset = loaded.position.offset,
        "loaded"
    );
    member.with(|state| {
        let end = loaded.position.offset;
        let fsync = state.engine.config.fsync;
        let (disk, manifest) = Disk::start(directory.clone(), loaded.manifest, end, fsync)?;
        let segments = segments_of(directory, &manifest);
        state.log.resume(loaded.position, loaded.history, segments);
        state.log.set_disk(disk);
        Ok(())
    })
}

/// The log files that readers may read.
pub fn segments_of(directory: &Directory, manifest: &Manifest) -> Vec<Segment> {
    let segment = |file: &crate::log::files::LogFile| Segment {
        start: file.start,
        path: directory.path_of(&file.name),
    };
    manifest.logs.iter().map(segment).collect()
}
