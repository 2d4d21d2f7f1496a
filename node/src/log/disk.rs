//! The disk: threads write and fsync the log and the bases, and replace `meta`. The executor hands
//! over work and never waits; it learns from [`Disk::held`] how far they got.
//!
//! A failed write is retried until it succeeds: what is queued is neither dropped nor written
//! twice. Meanwhile [`Disk::error`] says why, and the member refuses writes.

mod base;
mod writer;

use super::files::{Directory, FilesError, Manifest, Meta, io_error};
use crate::execute::config::Fsync;
use base::Finished;
use bytes::Bytes;
use protocol::admin::EpochStart;
use protocol::status::Position;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{Notify, oneshot};
use writer::Writer;

/// What the thread answers.
type Done<T> = oneshot::Sender<Result<T, FilesError>>;

/// An answer of the thread; none comes when it has ended.
pub type Answer<T> = oneshot::Receiver<Result<T, FilesError>>;

/// State of the log that a base stands for.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    pub position: Position,
    /// The epochs before the position.
    pub history: Vec<EpochStart>,
}

enum Work {
    Append {
        record: Bytes,
        end: u64,
    },
    /// Go on in a new log file, and begin a base for the state at the end of the old one.
    BeginBase {
        standing: Standing,
        done: Done<Manifest>,
    },
    BaseBytes(Vec<u8>),
    /// The base has been handed over whole: make it the current one.
    EndBase {
        done: Done<Manifest>,
    },
    AbandonBase,
    /// Forget all data: what follows is the base of a full sync.
    Clear {
        done: Done<()>,
    },
    /// That base has been handed over whole: the log starts anew from it.
    Adopt {
        standing: Standing,
        done: Done<Manifest>,
    },
    /// From the thread that wrote a base.
    Finished(Finished),
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
    /// An fsync failed: only a new base can be trusted.
    needs_base: AtomicBool,
    fsync: AtomicU8,
    /// The longest write and fsync since somebody asked.
    longest_write_ns: AtomicU64,
    longest_fsync_ns: AtomicU64,
    error: Mutex<Option<String>>,
    progress: Notify,
}

/// Handle of the threads.
pub struct Disk {
    shared: Arc<Shared>,
    work: Sender<Work>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Starts on a directory whose data, if any, has been loaded up to `end`; gives the files it
    /// goes on with too.
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
        let mut writer = Writer::new(directory, manifest, end, Arc::clone(&shared), work.clone())?;
        let manifest = writer.manifest().clone();
        let thread = std::thread::Builder::new().name("disk".to_owned());
        let thread = thread.spawn(move || writer.run(&inbox));
        let thread = thread.map_err(io_error("start the thread for", Path::new("disk")))?;
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
        match self.shared.fsync() {
            Fsync::Always => self.shared.synced.load(Ordering::Acquire),
            Fsync::EverySecond | Fsync::Never => self.written(),
        }
    }

    pub fn set_fsync(&self, fsync: Fsync) {
        self.shared.fsync.store(fsync as u8, Ordering::Release);
    }

    /// Waits until [`held`](Self::held) may have moved, without borrowing the handle.
    pub fn progress(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.progress.notified().await }
    }

    /// Why nothing can be written at the moment.
    pub fn error(&self) -> Option<String> {
        let error = self.shared.error.lock();
        error.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is in the log can be trusted only once a new base has been written.
    pub fn needs_base(&self) -> bool {
        self.shared.needs_base.load(Ordering::Acquire)
    }

    /// Bytes of the log since the base, and of the base.
    pub fn sizes(&self) -> (u64, u64) {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        (load(&self.shared.log_bytes), load(&self.shared.base_bytes))
    }

    /// Bytes handed over that have not been dealt with yet.
    pub fn queued_bytes(&self) -> u64 {
        self.shared.queued_bytes.load(Ordering::Relaxed)
    }

    /// How many nanoseconds the longest write and the longest fsync took since this was asked last.
    pub fn take_longest(&self) -> (u64, u64) {
        let take = |longest: &AtomicU64| longest.swap(0, Ordering::Relaxed);
        (
            take(&self.shared.longest_write_ns),
            take(&self.shared.longest_fsync_ns),
        )
    }

    fn count_queued(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Starts a base for the state as it stands; the log goes on in a new file.
    pub fn begin_base(&self, standing: Standing) -> Answer<Manifest> {
        self.ask(|done| Work::BeginBase { standing, done })
    }

    pub fn base_bytes(&self, bytes: Vec<u8>) {
        self.count_queued(bytes.len());
        self.send(Work::BaseBytes(bytes));
    }

    pub fn end_base(&self) -> Answer<Manifest> {
        self.ask(|done| Work::EndBase { done })
    }

    pub fn abandon_base(&self) {
        self.send(Work::AbandonBase);
    }

    /// Forgets all data on disk; the bytes of a base follow.
    pub fn clear(&self) -> Answer<()> {
        self.ask(|done| Work::Clear { done })
    }

    /// Makes the base just received the data, and starts the log where it stands.
    pub fn adopt(&self, standing: Standing) -> Answer<Manifest> {
        self.ask(|done| Work::Adopt { standing, done })
    }

    pub fn write_meta(&self, meta: Meta) -> Answer<()> {
        let meta = Box::new(meta);
        self.ask(|done| Work::Meta { meta, done })
    }

    pub fn write_rollback(&self, start: u64, bytes: Vec<u8>) -> Answer<()> {
        self.ask(|done| Work::Rollback { start, bytes, done })
    }

    /// Writes and fsyncs everything handed over, then ends.
    pub fn stop(&self) -> Answer<()> {
        self.ask(|done| Work::Stop { done })
    }

    fn ask<T>(&self, work: impl FnOnce(Done<T>) -> Work) -> Answer<T> {
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
