//! The disk thread: writes and fsyncs the log, writes bases, replaces `meta`. The executor hands over
//! work and never waits for the disk; it learns from [`Disk::held`] how far it got.
//!
//! A failed write is retried until it succeeds: what is queued is neither dropped nor written twice.
//! Meanwhile [`Disk::error`] says why, and the member refuses writes.

use super::files::{BaseFile, Directory, FilesError, LogFile, Manifest, Meta, io_error};
use crate::execute::config::Fsync;
use bytes::Bytes;
use protocol::admin::EpochStart;
use protocol::status::Position;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// How long the thread waits before it tries a failed write again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// `appendfsync everysec`.
const FSYNC_EVERY: Duration = Duration::from_secs(1);

/// Most records written with one system call.
const RECORDS_PER_WRITE: usize = 512;

/// What the thread answers.
type Done<T> = oneshot::Sender<Result<T, FilesError>>;

enum Work {
    Append {
        record: Bytes,
        end: u64,
    },
    /// Go on in a new log file, and begin a base for the state at this position.
    BeginBase {
        position: Position,
        history: Vec<EpochStart>,
        done: Done<Manifest>,
    },
    BaseBytes(Vec<u8>),
    /// The base is complete: make it the current one.
    EndBase {
        done: Done<Manifest>,
    },
    AbandonBase,
    /// Forget all data: what follows is a full sync.
    Clear {
        done: Done<()>,
    },
    /// The log starts anew at this position, on the base just received.
    Adopt {
        position: Position,
        history: Vec<EpochStart>,
        done: Done<Manifest>,
    },
    Meta {
        meta: Box<Meta>,
        done: Done<()>,
    },
    Rollback {
        start: u64,
        bytes: Vec<u8>,
        done: Done<()>,
    },
    Stop {
        done: Done<()>,
    },
}

#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    synced: AtomicU64,
    log_bytes: AtomicU64,
    base_bytes: AtomicU64,
    /// Handed over and not yet dealt with.
    queued_bytes: AtomicU64,
    fsync: AtomicU8,
    error: Mutex<Option<String>>,
    progress: Notify,
}

/// Handle of the thread.
pub struct Disk {
    shared: Arc<Shared>,
    work: Sender<Work>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Starts the thread on a directory whose data, if any, has been loaded up to `end`; gives the
    /// files it goes on with too.
    pub fn start(
        directory: Directory,
        manifest: Manifest,
        end: u64,
        fsync: Fsync,
    ) -> Result<(Self, Manifest), FilesError> {
        let shared = Arc::new(Shared::default());
        shared.written.store(end, Ordering::Release);
        shared.synced.store(end, Ordering::Release);
        let (work, inbox) = mpsc::channel();
        let mut writer = Writer::new(directory, manifest, end, Arc::clone(&shared))?;
        let manifest = writer.manifest.clone();
        let thread = std::thread::Builder::new().name("disk".to_owned());
        let thread = thread.spawn(move || writer.run(&inbox));
        let thread = thread.map_err(io_error(
            "start the thread for",
            std::path::Path::new("disk"),
        ))?;
        let disk = Self {
            shared,
            work,
            thread: Some(thread),
        };
        disk.set_fsync(fsync);
        Ok((disk, manifest))
    }

    pub fn append(&self, record: Bytes, end: u64) {
        self.count_queued(record.len());
        self.send(Work::Append { record, end });
    }

    /// Bytes handed to the kernel, as an offset of the log.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// What the member may acknowledge.
    pub fn held(&self) -> u64 {
        match self.fsync() {
            Fsync::Always => self.shared.synced.load(Ordering::Acquire),
            Fsync::EverySecond | Fsync::Never => self.written(),
        }
    }

    pub fn set_fsync(&self, fsync: Fsync) {
        self.shared.fsync.store(fsync as u8, Ordering::Release);
    }

    fn fsync(&self) -> Fsync {
        self.shared.fsync()
    }

    /// Waits until [`held`](Self::held) may have moved.
    pub async fn progress(&self) {
        self.shared.progress.notified().await;
    }

    /// A handle to wait on without borrowing.
    pub fn progress_handle(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.progress.notified().await }
    }

    /// Why nothing can be written at the moment.
    pub fn error(&self) -> Option<String> {
        self.shared
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Bytes of the log since the base, and of the base.
    pub fn sizes(&self) -> (u64, u64) {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        (load(&self.shared.log_bytes), load(&self.shared.base_bytes))
    }

    /// Starts a base for the state at `position`; the log goes on in a new file.
    pub fn begin_base(
        &self,
        position: Position,
        history: Vec<EpochStart>,
    ) -> oneshot::Receiver<Result<Manifest, FilesError>> {
        self.ask(|done| Work::BeginBase {
            position,
            history,
            done,
        })
    }

    /// Bytes handed over that the thread has not dealt with yet.
    pub fn queued_bytes(&self) -> u64 {
        self.shared.queued_bytes.load(Ordering::Relaxed)
    }

    fn count_queued(&self, bytes: usize) {
        self.shared
            .queued_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn base_bytes(&self, bytes: Vec<u8>) {
        self.count_queued(bytes.len());
        self.send(Work::BaseBytes(bytes));
    }

    pub fn end_base(&self) -> oneshot::Receiver<Result<Manifest, FilesError>> {
        self.ask(|done| Work::EndBase { done })
    }

    pub fn abandon_base(&self) {
        self.send(Work::AbandonBase);
    }

    /// Forgets all data on disk.
    pub fn clear(&self) -> oneshot::Receiver<Result<(), FilesError>> {
        self.ask(|done| Work::Clear { done })
    }

    /// Makes the base just written the data, and starts the log at its position.
    pub fn adopt(
        &self,
        position: Position,
        history: Vec<EpochStart>,
    ) -> oneshot::Receiver<Result<Manifest, FilesError>> {
        self.ask(|done| Work::Adopt {
            position,
            history,
            done,
        })
    }

    pub fn write_meta(&self, meta: Meta) -> oneshot::Receiver<Result<(), FilesError>> {
        self.ask(|done| Work::Meta {
            meta: Box::new(meta),
            done,
        })
    }

    pub fn write_rollback(
        &self,
        start: u64,
        bytes: Vec<u8>,
    ) -> oneshot::Receiver<Result<(), FilesError>> {
        self.ask(|done| Work::Rollback { start, bytes, done })
    }

    /// Writes and fsyncs everything handed over, then ends the thread.
    pub fn stop(&self) -> oneshot::Receiver<Result<(), FilesError>> {
        self.ask(|done| Work::Stop { done })
    }

    fn ask<T>(
        &self,
        work: impl FnOnce(Done<T>) -> Work,
    ) -> oneshot::Receiver<Result<T, FilesError>> {
        let (done, answer) = oneshot::channel();
        self.send(work(done));
        answer
    }

    fn send(&self, work: Work) {
        // The thread ends only by `stop`; what is sent after it has nobody to be written for.
        let _ = self.work.send(work);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let (done, _) = oneshot::channel();
        // Already stopped when sending fails.
        let _ = self.work.send(Work::Stop { done });
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn fsync(&self) -> Fsync {
        match self.fsync.load(Ordering::Acquire) {
            0 => Fsync::Always,
            1 => Fsync::EverySecond,
            _ => Fsync::Never,
        }
    }

    fn dealt_with(&self, bytes: u64) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn set_error(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

/// A base being written.
struct Base {
    file: File,
    name: String,
    position: Position,
    history: Vec<EpochStart>,
    bytes: u64,
    failed: Option<io::Error>,
}

struct Writer {
    directory: Directory,
    manifest: Manifest,
    log: File,
    /// Bytes of the log file that are known to be whole.
    log_length: u64,
    queue: Vec<(Bytes, u64)>,
    base: Option<Base>,
    synced_at: Instant,
    unsynced: bool,
    shared: Arc<Shared>,
}

impl Writer {
    fn new(
        directory: Directory,
        mut manifest: Manifest,
        end: u64,
        shared: Arc<Shared>,
    ) -> Result<Self, FilesError> {
        if manifest.logs.is_empty() {
            add_log(&mut manifest, end);
            directory.write_manifest(&manifest)?;
        }
        directory.remove_unnamed(&manifest)?;
        let (name, start) = manifest
            .logs
            .last()
            .map(|l| (l.name.clone(), l.start))
            .unwrap_or_default();
        let log = directory.append(&name)?;
        let writer = Self {
            directory,
            manifest,
            log,
            log_length: end - start,
            queue: Vec::new(),
            base: None,
            synced_at: Instant::now(),
            unsynced: false,
            shared,
        };
        writer.publish_sizes();
        Ok(writer)
    }

    fn run(&mut self, inbox: &Receiver<Work>) {
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
            return Duration::from_secs(3600);
        }
        FSYNC_EVERY.saturating_sub(self.synced_at.elapsed())
    }

    /// Does what is not appending; `true` when the thread is to end. Records queued before come first.
    fn perform(&mut self, work: Work) -> bool {
        self.write_queue();
        // Whoever asked may have stopped waiting; the work is done all the same.
        match work {
            Work::Append { record, end } => self.queue.push((record, end)),
            Work::BeginBase {
                position,
                history,
                done,
            } => {
                let _ = done.send(self.begin_base(position, history));
            }
            Work::BaseBytes(bytes) => self.base_bytes(&bytes),
            Work::EndBase { done } => {
                let _ = done.send(self.end_base());
            }
            Work::AbandonBase => self.base = None,
            Work::Clear { done } => {
                let _ = done.send(self.clear());
            }
            Work::Adopt {
                position,
                history,
                done,
            } => {
                let _ = done.send(self.adopt(position, history));
            }
            Work::Meta { meta, done } => {
                let _ = done.send(self.directory.write_meta(&meta));
            }
            Work::Rollback { start, bytes, done } => {
                let _ = done.send(self.directory.write_rollback(start, &bytes).map(|_| ()));
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

    /// Writes what is queued; on failure cuts the file back to its last whole record and keeps the rest.
    fn write_queue(&mut self) {
        let mut done = 0;
        while done < self.queue.len() {
            let batch = &self.queue[done..self.queue.len().min(done + RECORDS_PER_WRITE)];
            let (count, end) = (batch.len(), batch[batch.len() - 1].1);
            let length: u64 = batch.iter().map(|(record, _)| record.len() as u64).sum();
            if let Err(error) = write_all(&mut self.log, batch) {
                self.shared.set_error(Some(format!(
                    "writing {}: {error}",
                    self.log_path().display()
                )));
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
            if self.queue.is_empty() {
                self.shared.set_error(None);
            }
            self.publish_sizes();
            if self.shared.fsync() == Fsync::Always {
                self.fsync();
            }
            self.shared.progress.notify_one();
        }
    }

    fn cut_back(&mut self) {
        if let Err(error) = self.log.set_len(self.log_length) {
            let path = self.log_path();
            self.shared
                .set_error(Some(format!("truncating {}: {error}", path.display())));
        }
    }

    fn fsync_if_due(&mut self) {
        let due = self.synced_at.elapsed() >= FSYNC_EVERY;
        if self.unsynced && due && self.shared.fsync() == Fsync::EverySecond {
            self.fsync();
        }
    }

    /// After a failed fsync the kernel may have dropped the pages: what was written since the last
    /// good one is not known to be safe, so the member must not acknowledge it.
    fn fsync(&mut self) {
        match self.log.sync_data() {
            Ok(()) => {
                self.unsynced = false;
                let written = self.shared.written.load(Ordering::Acquire);
                self.shared.synced.store(written, Ordering::Release);
            }
            Err(error) => {
                let path = self.log_path();
                self.shared
                    .set_error(Some(format!("fsync of {}: {error}", path.display())));
            }
        }
        self.synced_at = Instant::now();
    }

    fn begin_base(
        &mut self,
        position: Position,
        history: Vec<EpochStart>,
    ) -> Result<Manifest, FilesError> {
        let path = self.log_path();
        self.log.sync_data().map_err(io_error("sync", &path))?;
        let mut manifest = self.manifest.clone();
        let name = format!("base-{}.rdb", manifest.next);
        let file = self.directory.create(&name)?;
        let log_name = add_log(&mut manifest, position.offset);
        let log = self.directory.append(&log_name)?;
        self.directory.write_manifest(&manifest)?;
        self.manifest = manifest;
        self.log = log;
        self.log_length = 0;
        self.base = Some(Base {
            file,
            name,
            position,
            history,
            bytes: 0,
            failed: None,
        });
        Ok(self.manifest.clone())
    }

    fn base_bytes(&mut self, bytes: &[u8]) {
        self.shared.dealt_with(bytes.len() as u64);
        let Some(base) = &mut self.base else { return };
        base.bytes += bytes.len() as u64;
        if base.failed.is_none()
            && let Err(error) = base.file.write_all(bytes)
        {
            base.failed = Some(error);
        }
    }

    fn finish_base(&mut self) -> Result<Base, FilesError> {
        let missing = || io::Error::other("no base was begun");
        let unnamed = std::path::Path::new("base");
        let mut base = self
            .base
            .take()
            .ok_or_else(|| io_error("finish", unnamed)(missing()))?;
        let path = self.directory.path_of(&base.name);
        if let Some(error) = base.failed.take() {
            return Err(io_error("write", &path)(error));
        }
        base.file.sync_all().map_err(io_error("sync", &path))?;
        Ok(base)
    }

    fn end_base(&mut self) -> Result<Manifest, FilesError> {
        let base = self.finish_base()?;
        let mut manifest = self.manifest.clone();
        manifest
            .logs
            .retain(|log| log.start >= base.position.offset);
        manifest.base = Some(base_file(&base));
        manifest.history = base.history;
        self.replace_manifest(manifest)
    }

    fn replace_manifest(&mut self, manifest: Manifest) -> Result<Manifest, FilesError> {
        self.directory.write_manifest(&manifest)?;
        self.manifest = manifest;
        self.directory.remove_unnamed(&self.manifest)?;
        self.publish_sizes();
        Ok(self.manifest.clone())
    }

    fn clear(&mut self) -> Result<(), FilesError> {
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
        self.replace_manifest(manifest)?;
        let name = format!("base-{}.rdb", self.manifest.next);
        self.manifest.next += 1;
        let file = self.directory.create(&name)?;
        let position = Position::default();
        self.base = Some(Base {
            file,
            name,
            position,
            history: Vec::new(),
            bytes: 0,
            failed: None,
        });
        self.shared.written.store(0, Ordering::Release);
        self.shared.synced.store(0, Ordering::Release);
        Ok(())
    }

    fn adopt(
        &mut self,
        position: Position,
        history: Vec<EpochStart>,
    ) -> Result<Manifest, FilesError> {
        let mut base = self.finish_base()?;
        base.position = position;
        let mut manifest = Manifest {
            next: self.manifest.next,
            ..Manifest::default()
        };
        let name = add_log(&mut manifest, position.offset);
        self.log = self.directory.append(&name)?;
        self.log_length = 0;
        manifest.base = Some(base_file(&base));
        manifest.history = history;
        let manifest = self.replace_manifest(manifest)?;
        self.shared
            .written
            .store(position.offset, Ordering::Release);
        self.shared.synced.store(position.offset, Ordering::Release);
        Ok(manifest)
    }

    fn publish_sizes(&self) {
        let first = self.manifest.logs.first().map_or(0, |log| log.start);
        let last = self.manifest.logs.last().map_or(0, |log| log.start);
        self.shared
            .log_bytes
            .store(last - first + self.log_length, Ordering::Relaxed);
        let base = self
            .manifest
            .base
            .as_ref()
            .map(|base| self.directory.path_of(&base.name));
        let bytes = base
            .and_then(|path| path.metadata().ok())
            .map_or(0, |metadata| metadata.len());
        self.shared.base_bytes.store(bytes, Ordering::Relaxed);
    }

    fn log_path(&self) -> std::path::PathBuf {
        let name = self
            .manifest
            .logs
            .last()
            .map_or("log", |log| log.name.as_str());
        self.directory.path_of(name)
    }
}

fn base_file(base: &Base) -> BaseFile {
    BaseFile {
        name: base.name.clone(),
        offset: base.position.offset,
        epoch: base.position.epoch,
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
    let mut slices: Vec<IoSlice> = records
        .iter()
        .map(|(record, _)| IoSlice::new(record))
        .collect();
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
