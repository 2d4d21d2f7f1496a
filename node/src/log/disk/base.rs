//! Writing a base: a thread of its own, so that the log's fsyncs never wait for a large file.

use super::{Done, Shared, Standing, Work};
use crate::log::files::{BaseFile, Directory, FilesError, Manifest, io_error};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::Notify;

/// Dirty pages are written out after so many bytes, so that the end has little left to do.
const SYNC_EVERY_BYTES: u64 = 16 * 1024 * 1024;

/// What a finished base is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It replaces the older part of the log.
    Rewrite,
    /// It is all the data there is.
    FullSync,
}

/// A base that has been handed over whole, written or not.
pub(super) struct Finished {
    pub result: Result<(), FilesError>,
    pub file: BaseFile,
    pub standing: Standing,
    pub purpose: Purpose,
    pub done: Done<Manifest>,
}

enum Piece {
    Bytes(Vec<u8>),
    Finish {
        standing: Standing,
        purpose: Purpose,
        done: Done<Manifest>,
    },
}

/// Handle of the thread; dropping it abandons the base.
pub(super) struct BaseWriter {
    pieces: Sender<Piece>,
    pub standing: Standing,
}

impl BaseWriter {
    pub fn start(
        directory: &Directory,
        name: String,
        standing: Standing,
        shared: Arc<Shared>,
        work: Sender<Work>,
    ) -> Result<Self, FilesError> {
        let file = directory.create(&name)?;
        let path = directory.path_of(&name);
        let (pieces, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new().name("base".to_owned());
        let failed = io_error("start the thread for", &path);
        let writing = Writing {
            file,
            path: path.clone(),
            name,
            unsynced: 0,
            failed: None,
            shared,
        };
        let spawned = thread.spawn(move || writing.run(&inbox, &work));
        spawned.map_err(failed)?;
        Ok(Self { pieces, standing })
    }

    pub fn bytes(&self, bytes: Vec<u8>) {
        self.send(Piece::Bytes(bytes));
    }

    /// The thread answers with [`Work::Finished`].
    pub fn finish(self, standing: Standing, purpose: Purpose, done: Done<Manifest>) {
        self.send(Piece::Finish {
            standing,
            purpose,
            done,
        });
    }

    fn send(&self, piece: Piece) {
        // The thread ends only after `finish`, or by a panic, which the hook reports; whoever waits
        // for the base is then told by the lost answer.
        let _ = self.pieces.send(piece);
    }
}

struct Writing {
    file: File,
    path: PathBuf,
    name: String,
    unsynced: u64,
    failed: Option<io::Error>,
    shared: Arc<Shared>,
}

impl Writing {
    fn run(mut self, inbox: &Receiver<Piece>, work: &Sender<Work>) {
        while let Ok(piece) = inbox.recv() {
            match piece {
                Piece::Bytes(bytes) => self.write(&bytes),
                Piece::Finish {
                    standing,
                    purpose,
                    done,
                } => {
                    let finished = self.finish(standing, purpose, done);
                    // The disk thread has ended with the process: nobody installs the base.
                    let _ = work.send(Work::Finished(finished));
                    return;
                }
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.try_write(bytes).err();
        }
        self.shared.dealt_with(bytes.len() as u64);
        let progress: &Notify = &self.shared.progress;
        progress.notify_one();
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn finish(self, standing: Standing, purpose: Purpose, done: Done<Manifest>) -> Finished {
        let result = match self.failed {
            Some(error) => Err(io_error("write", &self.path)(error)),
            None => self.file.sync_all().map_err(io_error("sync", &self.path)),
        };
        let file = BaseFile {
            name: self.name,
            offset: standing.position.offset,
            epoch: standing.position.epoch,
        };
        Finished {
            result,
            file,
            standing,
            purpose,
            done,
        }
    }
}
