//! Keyspace notifications: which events of keys are told to whom asks for them by
//! `notify-keyspace-events`.
//!
//! Source: the Redis documentation on keyspace notifications, for the letters and event names.

use super::Engine;

/// Classes of events, to be combined.
pub mod class {
    /// Channels named by the key (`__keyspace@0__:<key>`).
    pub const KEYSPACE: u32 = 1;
    /// Channels named by the event (`__keyevent@0__:<event>`).
    pub const KEYEVENT: u32 = 1 << 1;
    pub const GENERIC: u32 = 1 << 2;
    pub const STRING: u32 = 1 << 3;
    pub const LIST: u32 = 1 << 4;
    pub const SET: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const SORTED: u32 = 1 << 7;
    pub const EXPIRED: u32 = 1 << 8;
    pub const EVICTED: u32 = 1 << 9;
    pub const STREAM: u32 = 1 << 10;
    /// Reads of keys that are not there.
    pub const MISS: u32 = 1 << 11;
    /// Keys that were added.
    pub const NEW: u32 = 1 << 12;
}

impl Engine {
    /// Tells of an event of a key, if its class is asked for.
    pub fn notify(&mut self, class: u32, event: &str, key: &[u8]) {
        if self.config.notify_events & class == 0 {
            return;
        }
        if self.config.notify_events & class::KEYSPACE != 0 {
            let channel = [b"__keyspace@0__:", key].concat();
            self.publish(&channel, event.as_bytes());
        }
        if self.config.notify_events & class::KEYEVENT != 0 {
            let channel = [b"__keyevent@0__:", event.as_bytes()].concat();
            self.publish(&channel, key);
        }
    }
}
