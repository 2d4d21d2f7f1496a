//! The disk thread itself: the log's file, the manifest, `meta`.

use super::base::{BaseWriter, Finished, Purpose};
use super::{Done, Shared, Standing, Work};
use crate::execute::config::Fsync;
use crate::log::files::{Directory, FilesError, LogFile, Manifest, io_error};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How long the thread waits before it tries a failed write again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// `appendfsync everysec`.
const FSYNC_EVERY: Duration = Duration::from_secs(1);

/// With nothing to do, how long to sleep at most.
const IDLE: Duration = Duration::from_secs(3600);

/// Most records written with one system call.
const RECORDS_PER_WRITE: usize = 512;

pub(super) struct Writer {
    directory: Directory,
    manifest: Manifest,
    log: File,
    /// Bytes of the log file that are known to be whole.
    log_length: u64,
    queue: Vec<(Bytes, u64)>,
    base: Option<BaseWriter>,
    synced_at: Instant,
    unsynced: bool,
    shared: Arc<Shared>,
    /// For the thread that writes a base.
    work: Sender<Work>,
}

/// Notes how long something took, if it took longest.
fn note_longest(longest: &AtomicU64, began: Instant) {
    let took_ns = began.elapsed().as_nanos() as u64;
    longest.fetch_max(took_ns, Ordering::Relaxed);
}

impl Writer {
    pub fn new(
        directory: Directory,
        mut manifest: Manifest,
        end: u64,
        shared: Arc<Shared>,
        work: Sender<Work>,
    ) -> Result<Self, FilesError> {
        if manifest.logs.is_empty() {
            add_log(&mut manifest, end);
            directory.write_manifest(&manifest)?;
        }
        directory.remove_unnamed(&manifest)?;
        let last = manifest.logs.last().cloned().unwrap_or_default();
        let writer = Self {
            log: directory.append(&last.name)?,
            log_length: end - last.start,
            directory,
            manifest,
            queue: Vec::new(),
            base: None,
            synced_at: Instant::now(),
            unsynced: false,
            shared,
            work,
        };
        writer.publish_sizes();
        Ok(writer)
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn run(&mut self, inbox: &Receiver<Work>) {
        loop {
            let wait = if self.queue.is_empty() {
                self.until_fsync()
            } else {
                RETRY_AFTER
            };
            let first = match inbox.recv_timeout(wait) {
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut next = first;
            while let Some(work) = next {
                if let Work::Append { record, end } = work {
                    self.queue.push((record, end));
                    if self.queue.len() >= RECORDS_PER_WRITE {
                        break;
                    }
                } else if self.perform(work) {
                    return;
                }
                next = inbox.try_recv().ok();
            }
            self.write_queue();
            self.fsync_if_due();
        }
    }

    fn until_fsync(&self) -> Duration {
        if !self.unsynced || self.shared.fsync() == Fsync::Never {
            return IDLE;
        }
        FSYNC_EVERY.saturating_sub(self.synced_at.elapsed())
    }

    /// Does what is not appending; `true` when the thread is to end. Records queued before come
    /// first.
    fn perform(&mut self, work: Work) -> bool {
        self.write_queue();
        // Whoever asked may have stopped waiting; the work is done all the same.
        match work {
            Work::Append { record, end } => self.queue.push((record, end)),
            Work::BeginBase { standing, done } => {
                let _ = done.send(self.begin_base(standing));
            }
            Work::BaseBytes(bytes) => match &self.base {
                Some(base) => base.bytes(bytes),
                None => self.shared.dealt_with(bytes.len() as u64),
            },
            Work::EndBase { done } => self.end_base(None, Purpose::Rewrite, done),
            Work::AbandonBase => self.base = None,
            Work::Clear { done } => {
                let _ = done.send(self.clear());
            }
            Work::Adopt { standing, done } => {
                self.end_base(Some(standing), Purpose::FullSync, done);
            }
            Work::Finished(finished) => self.install(finished),
            Work::Meta { meta, done } => {
                let _ = done.send(self.directory.write_meta(&meta));
            }
            Work::Rollback { start, bytes, done } => {
                let written = self.directory.write_rollback(start, &bytes);
                let _ = done.send(written.map(|_| ()));
            }
            Work::Stop { done } => {
                self.write_queue();
                let synced = self.log.sync_data();
                let path = self.log_path();
                let _ = done.send(synced.map_err(io_error("sync", &path)));
                return true;
            }
        }
        false
    }

    /// Writes what is queued; on failure cuts the file back to its last whole record and keeps the
    /// rest.
    fn write_queue(&mut self) {
        let mut done = 0;
        while done < self.queue.len() {
            let batch = &self.queue[done..self.queue.len().min(done + RECORDS_PER_WRITE)];
            let (count, end) = (batch.len(), batch[batch.len() - 1].1);
            let length: u64 = batch.iter().map(|(record, _)| record.len() as u64).sum();
            let began = Instant::now();
            let written = write_all(&mut self.log, batch);
            note_longest(&self.shared.longest_write_ns, began);
            if let Err(error) = written {
                self.fail("writing", &error);
                self.cut_back();
                break;
            }
            self.log_length += length;
            self.shared.dealt_with(length);
            done += count;
            self.unsynced = true;
            self.shared.written.store(end, Ordering::Release);
        }
        self.queue.drain(..done);
        if done > 0 {
            if self.queue.is_empty() && !self.shared.needs_base.load(Ordering::Acquire) {
                self.shared.set_error(None);
            }
            self.publish_sizes();
            if self.shared.fsync() == Fsync::Always {
                self.fsync();
            }
            self.shared.progress.notify_one();
        }
    }

    fn fail(&self, act: &str, error: &io::Error) {
        let path = self.log_path();
        let text = format!("{act} {}: {error}", path.display());
        self.shared.set_error(Some(text));
    }

    fn cut_back(&mut self) {
        if let Err(error) = self.log.set_len(self.log_length) {
            self.fail("truncating", &error);
        }
    }

    fn fsync_if_due(&mut self) {
        let due = self.synced_at.elapsed() >= FSYNC_EVERY;
        if self.unsynced && due && self.shared.fsync() == Fsync::EverySecond {
            self.fsync();
        }
    }

    /// After a failed fsync the kernel may have dropped the pages, and a later one that succeeds
    /// says nothing of them. So nothing more is acknowledged until a new base holds everything.
    fn fsync(&mut self) {
        let began = Instant::now();
        let synced = self.log.sync_data();
        note_longest(&self.shared.longest_fsync_ns, began);
        match synced {
            Ok(()) if self.shared.needs_base.load(Ordering::Acquire) => {}
            Ok(()) => {
                self.unsynced = false;
                let written = self.shared.written.load(Ordering::Acquire);
                self.shared.synced.store(written, Ordering::Release);
            }
            Err(error) => {
                self.shared.needs_base.store(true, Ordering::Release);
                self.fail("fsync of", &error);
            }
        }
        self.synced_at = Instant::now();
    }

    fn begin_base(&mut self, standing: Standing) -> Result<Manifest, FilesError> {
        let path = self.log_path();
        if !self.shared.needs_base.load(Ordering::Acquire) {
            self.log.sync_data().map_err(io_error("sync", &path))?;
        }
        let mut manifest = self.manifest.clone();
        let name = format!("base-{}.rdb", manifest.next);
        let log_name = add_log(&mut manifest, standing.position.offset);
        let log = self.directory.append(&log_name)?;
        self.start_base(name, standing)?;
        // The log moves on last: whoever is told of a failure finds it where it was.
        self.directory.write_manifest(&manifest)?;
        self.manifest = manifest;
        self.log = log;
        self.log_length = 0;
        Ok(self.manifest.clone())
    }

    fn start_base(&mut self, name: String, standing: Standing) -> Result<(), FilesError> {
        let (shared, work) = (Arc::clone(&self.shared), self.work.clone());
        let base = BaseWriter::start(&self.directory, name, standing, shared, work)?;
        self.base = Some(base);
        Ok(())
    }

    /// Has the base finished; the answer is given when it is installed.
    fn end_base(&mut self, standing: Option<Standing>, purpose: Purpose, done: Done<Manifest>) {
        let Some(base) = self.base.take() else {
            let error = io::Error::other("no base was begun");
            // Whoever asked may have stopped waiting.
            let _ = done.send(Err(io_error("finish", Path::new("base"))(error)));
            return;
        };
        let standing = standing.unwrap_or_else(|| base.standing.clone());
        base.finish(standing, purpose, done);
    }

    fn install(&mut self, finished: Finished) {
        let done = match self.try_install(&finished) {
            Err(error) => finished.done.send(Err(error)),
            Ok(manifest) => match finished.result {
                Ok(()) => finished.done.send(Ok(manifest)),
                Err(error) => finished.done.send(Err(error)),
            },
        };
        // Whoever asked may have stopped waiting.
        drop(done);
        self.shared.progress.notify_one();
    }

    fn try_install(&mut self, finished: &Finished) -> Result<Manifest, FilesError> {
        if finished.result.is_err() {
            return Ok(self.manifest.clone());
        }
        let mut manifest = self.manifest.clone();
        let offset = finished.file.offset;
        match finished.purpose {
            Purpose::Rewrite => manifest.logs.retain(|log| log.start >= offset),
            Purpose::FullSync => {
                manifest.logs.clear();
                let name = add_log(&mut manifest, offset);
                self.log = self.directory.append(&name)?;
                self.log_length = 0;
            }
        }
        manifest.base = Some(finished.file.clone());
        manifest.history.clone_from(&finished.standing.history);
        self.replace_manifest(manifest)?;
        if finished.purpose == Purpose::FullSync {
            self.shared.written.store(offset, Ordering::Release);
            self.shared.synced.store(offset, Ordering::Release);
        }
        if self.shared.needs_base.swap(false, Ordering::AcqRel) {
            self.shared.set_error(None);
        }
        Ok(self.manifest.clone())
    }

    fn replace_manifest(&mut self, manifest: Manifest) -> Result<(), FilesError> {
        self.directory.write_manifest(&manifest)?;
        self.manifest = manifest;
        self.directory.remove_unnamed(&self.manifest)?;
        self.publish_sizes();
        Ok(())
    }

    fn clear(&mut self) -> Result<(), FilesError> {
        self.base = None;
        let next = self.manifest.next;
        let mut manifest = Manifest {
            next,
            ..Manifest::default()
        };
        let name = add_log(&mut manifest, 0);
        self.log = self.directory.append(&name)?;
        self.log_length = 0;
        let forgotten: usize = self.queue.drain(..).map(|(record, _)| record.len()).sum();
        self.shared.dealt_with(forgotten as u64);
        let base = format!("base-{}.rdb", manifest.next);
        manifest.next += 1;
        self.replace_manifest(manifest)?;
        self.shared.written.store(0, Ordering::Release);
        self.shared.synced.store(0, Ordering::Release);
        self.start_base(base, Standing::default())
    }

    fn publish_sizes(&self) {
        let first = self.manifest.logs.first().map_or(0, |log| log.start);
        let last = self.manifest.logs.last().map_or(0, |log| log.start);
        let log_bytes = last - first + self.log_length;
        self.shared.log_bytes.store(log_bytes, Ordering::Relaxed);
        let base = self.manifest.base.as_ref();
        let base = base.map(|base| self.directory.path_of(&base.name));
        let metadata = base.and_then(|path| path.metadata().ok());
        let bytes = metadata.map_or(0, |metadata| metadata.len());
        self.shared.base_bytes.store(bytes, Ordering::Relaxed);
    }

    fn log_path(&self) -> PathBuf {
        let last = self.manifest.logs.last();
        self.directory
            .path_of(last.map_or("log", |log| log.name.as_str()))
    }
}

fn add_log(manifest: &mut Manifest, start: u64) -> String {
    let name = format!("log-{}.aof", manifest.next);
    manifest.next += 1;
    manifest.logs.push(LogFile {
        name: name.clone(),
        start,
    });
    name
}

fn write_all(file: &mut File, records: &[(Bytes, u64)]) -> io::Result<()> {
    let slices = records.iter().map(|(record, _)| IoSlice::new(record));
    let mut slices: Vec<IoSlice> = slices.collect();
    let mut slices = slices.as_mut_slice();
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut slices, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
