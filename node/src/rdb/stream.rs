//! Streams, which have no entries yet.

use super::cursor::{Cursor, Stop, corrupt};
use super::value::{Limits, Reading};
use crate::keyspace::entry::Value;
use crate::values::Collection;
use crate::values::stream::Stream;

pub struct Reader;

impl Reader {
    pub fn begin(_kind: u8) -> Option<Self> {
        None
    }
}

impl Reading for Reader {
    fn step(&mut self, _cursor: &mut Cursor, _limits: &Limits) -> Result<bool, Stop> {
        corrupt("a stream")
    }

    fn finish(&mut self) -> Value {
        Stream::default().wrap()
    }
}

pub fn write_part(_out: &mut Vec<u8>, _stream: &Stream, _place: u64) -> Option<u64> {
    None
}
