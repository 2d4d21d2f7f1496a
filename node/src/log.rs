//! The log: the member's single ordered stream of effects.
//!
//! A batch of requests becomes one record. Records go to the disk thread, and stay in memory for a
//! while for the readers that stream them (replicas); a reader that is further behind reads the
//! files, whose bytes are the stream's bytes. There is no other way by which a change leaves a
//! member.

pub mod disk;
pub mod files;
pub mod load;
pub mod record;

use bytes::Bytes;
use disk::Disk;
use protocol::admin::EpochStart;
use protocol::status::Position;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

/// Most epochs remembered; a replica that branched off before needs a full sync.
const HISTORY_MAX: usize = 256;

/// Most bytes handed to a reader at once.
pub const READ_BYTES_MAX: usize = 256 * 1024;

/// A log file: the stream's bytes from `start` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub start: u64,
    pub path: PathBuf,
}

/// Where a reader finds the bytes it asks for.
#[derive(Debug)]
pub enum Available {
    /// Nothing after the offset yet.
    Nothing,
    /// Whole records.
    Memory(Vec<Bytes>),
    /// In a file, from this position on, at most so many bytes.
    File {
        path: PathBuf,
        position: u64,
        length: u64,
    },
    /// Not kept any more: the reader needs a full sync.
    Gone,
}

pub struct Log {
    position: Position,
    history: Vec<EpochStart>,
    /// Recent records with their offsets.
    recent: VecDeque<(u64, Bytes)>,
    recent_bytes: u64,
    recent_bytes_max: u64,
    /// Records of the batches since the last [`flush`](Self::flush).
    staged: Vec<u8>,
    /// Somebody may want to read: without a topology nobody does.
    pub keeps_recent: bool,
    /// Readers beside members.
    readers: usize,
    segments: Vec<Segment>,
    /// Offsets from which full syncs are going to read on.
    pins: Vec<u64>,
    disk: Option<Disk>,
}

/// Records that a full sync will need stay in memory up to so many times the usual.
const PINNED_TIMES: u64 = 8;

impl Log {
    /// An empty log, with a disk to write to or without.
    pub fn new(disk: Option<Disk>, recent_bytes_max: u64) -> Self {
        Self {
            position: Position::default(),
            history: Vec::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            recent_bytes_max,
            staged: Vec::new(),
            keeps_recent: false,
            readers: 0,
            segments: Vec::new(),
            pins: Vec::new(),
            disk,
        }
    }

    /// Takes up where a loaded or synced log ends.
    pub fn resume(&mut self, position: Position, history: Vec<EpochStart>, segments: Vec<Segment>) {
        self.position = position;
        self.history = history;
        self.segments = segments;
        self.recent.clear();
        self.recent_bytes = 0;
        self.staged.clear();
    }

    /// Opens an epoch with a record of its own, so that its beginning is in the log; gives its end.
    pub fn open_epoch(&mut self, epoch: u64) -> u64 {
        self.position.epoch = epoch;
        self.append(&[])
    }

    /// Appends one record of effects in the current epoch; gives the log's end.
    pub fn append(&mut self, effects: &[u8]) -> u64 {
        if self.disk.is_none() && !self.is_read() {
            // Nobody will ever read it.
            self.position.offset += effects.len() as u64;
            return self.position.offset;
        }
        let Position { epoch, offset } = self.position;
        self.note_epoch(offset);
        let before = self.staged.len();
        record::encode(&mut self.staged, epoch, offset, effects);
        self.position.offset += (self.staged.len() - before) as u64;
        self.position.offset
    }

    /// Appends whole records received from the primary. They begin at the log's end.
    pub fn append_received(&mut self, epoch: u64, record: &[u8]) -> u64 {
        self.position.epoch = epoch;
        self.note_epoch(self.position.offset);
        self.staged.extend_from_slice(record);
        self.position.offset += record.len() as u64;
        self.position.offset
    }

    /// Hands what was appended to the disk and to readers; `false` when there was nothing.
    pub fn flush(&mut self) -> bool {
        if self.staged.is_empty() {
            return false;
        }
        let records = Bytes::from(std::mem::take(&mut self.staged));
        let start = self.position.offset - records.len() as u64;
        if let Some(disk) = &self.disk {
            disk.append(records.clone(), self.position.offset);
        }
        if self.is_read() {
            self.recent_bytes += records.len() as u64;
            self.recent.push_back((start, records));
            self.forget_old();
        }
        true
    }

    fn note_epoch(&mut self, start: u64) {
        let epoch = self.position.epoch;
        if self.history.last().is_none_or(|last| last.epoch < epoch) {
            self.history.push(EpochStart {
                epoch,
                offset: start,
            });
            if self.history.len() > HISTORY_MAX {
                self.history.remove(0);
            }
        }
    }

    fn is_read(&self) -> bool {
        self.keeps_recent || self.readers > 0
    }

    /// Keeps recent records for one more reader, whether members read or not.
    pub fn begin_reading(&mut self) {
        self.readers += 1;
    }

    pub fn end_reading(&mut self) {
        self.readers -= 1;
        if !self.is_read() {
            self.recent.clear();
            self.recent_bytes = 0;
        }
    }

    /// Drops the oldest records from memory; what the disk does not have yet stays.
    fn forget_old(&mut self) {
        while self.recent_bytes > self.recent_bytes_max {
            let Some((start, record)) = self.recent.front() else {
                return;
            };
            let end = start + record.len() as u64;
            if self.disk.as_ref().is_some_and(|disk| disk.written() < end) || self.is_pinned(end) {
                return;
            }
            self.recent_bytes -= record.len() as u64;
            self.recent.pop_front();
        }
    }

    fn is_pinned(&self, end: u64) -> bool {
        self.pins.iter().any(|&pin| pin < end)
            && self.recent_bytes < self.recent_bytes_max.saturating_mul(PINNED_TIMES)
    }

    /// Keeps what follows `offset` in memory, within limits, for a reader that will come.
    pub fn pin(&mut self, offset: u64) {
        self.pins.push(offset);
    }

    pub fn unpin(&mut self, offset: u64) {
        if let Some(index) = self.pins.iter().position(|&pin| pin == offset) {
            self.pins.swap_remove(index);
        }
    }

    /// What a reader that has everything before `offset` gets next.
    pub fn available(&self, offset: u64) -> Available {
        let end = self.flushed();
        if offset == end {
            return Available::Nothing;
        }
        if offset > end {
            return Available::Gone;
        }
        let first = self.recent.front().map_or(end, |(start, _)| *start);
        if offset >= first {
            return self.in_memory(offset);
        }
        let Some(index) = self
            .segments
            .iter()
            .rposition(|segment| segment.start <= offset)
        else {
            return Available::Gone;
        };
        let segment = &self.segments[index];
        let end = self
            .segments
            .get(index + 1)
            .map_or(first, |next| next.start.min(first));
        Available::File {
            path: segment.path.clone(),
            position: offset - segment.start,
            length: (end - offset).min(READ_BYTES_MAX as u64),
        }
    }

    fn in_memory(&self, offset: u64) -> Available {
        let index = self.recent.partition_point(|(start, _)| *start < offset);
        // A reader that was cut off in the middle of a record reads that record's rest.
        let mut pieces = Vec::new();
        let mut bytes = 0;
        if self
            .recent
            .get(index)
            .is_none_or(|(start, _)| *start > offset)
            && index > 0
        {
            let (start, record) = &self.recent[index - 1];
            let rest = record.slice((offset - start) as usize..);
            bytes += rest.len();
            pieces.push(rest);
        }
        for (_, record) in self.recent.range(index..) {
            if bytes >= READ_BYTES_MAX {
                break;
            }
            bytes += record.len();
            pieces.push(record.clone());
        }
        Available::Memory(pieces)
    }

    pub fn position(&self) -> Position {
        self.position
    }

    /// End of what readers may see: everything but what the running batch has appended.
    pub fn flushed(&self) -> u64 {
        self.position.offset - self.staged.len() as u64
    }

    pub fn history(&self) -> &[EpochStart] {
        &self.history
    }

    pub fn set_disk(&mut self, disk: Disk) {
        self.disk = Some(disk);
    }

    pub fn set_segments(&mut self, segments: Vec<Segment>) {
        self.segments = segments;
    }

    pub fn set_recent_bytes_max(&mut self, bytes: u64) {
        self.recent_bytes_max = bytes;
    }

    /// Bytes of records kept in memory.
    pub fn recent_bytes(&self) -> u64 {
        self.recent_bytes
    }

    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// End of what survives as promised: handed to the kernel, or fsynced when that is asked for.
    pub fn held(&self) -> u64 {
        self.disk.as_ref().map_or(self.flushed(), Disk::held)
    }
}

/// Where two logs that may have been written under different primaries part: everything before this
/// offset is the same in both. `None` when they have nothing in common.
///
/// An epoch has one primary, so two logs agree on an epoch as far as both have it.
pub fn divergence(left: (&[EpochStart], u64), right: (&[EpochStart], u64)) -> Option<u64> {
    let end = |log: (&[EpochStart], u64), index: usize| {
        log.0.get(index + 1).map_or(log.1, |next| next.offset)
    };
    // Histories may have lost their oldest epochs.
    let start = |log: &[EpochStart], epoch: u64| log.iter().position(|begin| begin.epoch == epoch);
    let mut common = None;
    for (index, begin) in left.0.iter().enumerate() {
        let Some(other) = start(right.0, begin.epoch) else {
            continue;
        };
        let same_start = right.0[other].offset == begin.offset || index == 0 || other == 0;
        if same_start {
            common = Some(end(left, index).min(end(right, other)));
        }
    }
    match common {
        None if left.1 == 0 || right.1 == 0 => Some(0),
        common => common,
    }
}

/// Reads bytes of a log file.
pub fn read_file(path: &std::path::Path, position: u64, length: u64) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(position))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(pairs: &[(u64, u64)]) -> Vec<EpochStart> {
        pairs
            .iter()
            .map(|&(epoch, offset)| EpochStart { epoch, offset })
            .collect()
    }

    fn check(left: (&[(u64, u64)], u64), right: (&[(u64, u64)], u64), expect: Option<u64>) {
        let (left_starts, right_starts) = (starts(left.0), starts(right.0));
        let found = divergence((&left_starts, left.1), (&right_starts, right.1));
        assert_eq!(found, expect, "{left:?} {right:?}");
        let found = divergence((&right_starts, right.1), (&left_starts, left.1));
        assert_eq!(found, expect, "{right:?} {left:?}");
    }

    #[test]
    fn logs_part_where_their_epochs_do() {
        check((&[(1, 0)], 100), (&[(1, 0)], 70), Some(70));
        check((&[(1, 0), (2, 100)], 150), (&[(1, 0)], 120), Some(100));
        check(
            (&[(1, 0), (3, 100)], 150),
            (&[(1, 0), (2, 110)], 130),
            Some(100),
        );
        check(
            (&[(1, 0), (2, 50), (3, 90)], 99),
            (&[(1, 0), (2, 50)], 95),
            Some(90),
        );
        check((&[(1, 0)], 100), (&[], 0), Some(0));
        check((&[(5, 900)], 1000), (&[(1, 0)], 100), None);
    }

    #[test]
    fn readers_get_whole_records_from_their_offset_on() {
        let mut log = Log::new(None, 1 << 20);
        log.keeps_recent = true;
        log.open_epoch(1);
        let first = log.position().offset;
        log.flush();
        log.append(b"*1\r\n$4\r\nPING\r\n");
        assert!(matches!(log.available(first), Available::Nothing));
        log.flush();
        let Available::Memory(pieces) = log.available(first) else {
            panic!("in memory")
        };
        assert!(pieces.len() == 1 && pieces[0].ends_with(b"PING\r\n"));
        assert!(matches!(
            log.available(log.position().offset),
            Available::Nothing
        ));
        assert!(matches!(
            log.available(log.position().offset + 1),
            Available::Gone
        ));
        log.set_recent_bytes_max(0);
        log.append(b"");
        log.flush();
        assert!(matches!(log.available(first), Available::Gone));
    }
}
