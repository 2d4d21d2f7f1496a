//! What a primary may acknowledge and for how long it may serve, from what its replicas confirm.
//! Pure: times are milliseconds of a monotonic clock that the caller reads.
//!
//! A record is committed when enough voters hold it ([`Shard::is_write_held`]), and, as in Raft
//! (section 5.4.2 of its paper), only once a record of the current epoch is: what an earlier
//! primary left behind is committed together with this epoch's first record, never before.

use protocol::topology::{Consistency, Shard};
use std::collections::BTreeMap;

/// What one replica has confirmed in the current epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Confirmed {
    /// End of what it holds.
    offset: u64,
    /// When the latest beat that it answered was sent.
    beat_ms: Option<u64>,
}

/// A primary's view of its epoch.
#[derive(Debug, Default)]
pub struct Quorum {
    myself: String,
    replicas: BTreeMap<String, Confirmed>,
    /// End of the record that opened the epoch.
    opened: u64,
    committed: u64,
    /// When the operator was last heard; only `Eventual` cares.
    operator_ms: Option<u64>,
}

impl Quorum {
    /// Begins an epoch: nothing is confirmed. `opened` is the end of the epoch's first record.
    pub fn begin(&mut self, myself: &str, opened: u64) {
        myself.clone_into(&mut self.myself);
        self.replicas.clear();
        self.opened = opened;
        self.operator_ms = None;
    }

    /// A replica says that it holds everything before `offset`, answering the beat sent at
    /// `beat_ms`.
    pub fn confirm(&mut self, replica: &str, offset: u64, beat_ms: u64) {
        let confirmed = self.replicas.entry(replica.to_owned()).or_default();
        confirmed.offset = confirmed.offset.max(offset);
        confirmed.beat_ms = confirmed.beat_ms.max(Some(beat_ms));
    }

    /// The operator sent a heartbeat.
    pub fn operator_heard(&mut self, now_ms: u64) {
        self.operator_ms = Some(now_ms);
    }

    /// End of what a replica holds, in bytes of the log.
    pub fn offset_of(&self, replica: &str) -> u64 {
        self.replicas
            .get(replica)
            .map_or(0, |confirmed| confirmed.offset)
    }

    /// How many replicas hold everything before `offset`.
    pub fn holding(&self, offset: u64) -> u64 {
        let holding = self
            .replicas
            .values()
            .filter(|confirmed| confirmed.offset >= offset);
        holding.count() as u64
    }

    /// Computes what is committed, given what this member itself holds; it never goes back.
    pub fn advance(&mut self, shard: &Shard, held: u64) -> u64 {
        let offset_of = |name: &str| {
            if name == self.myself {
                held
            } else {
                self.offset_of(name)
            }
        };
        let offsets = shard.members.iter().map(|member| offset_of(&member.name));
        let reached = offsets
            .filter(|&offset| shard.is_write_held(|name| offset_of(name) >= offset))
            .max();
        if let Some(reached) = reached.filter(|&reached| reached >= self.opened) {
            self.committed = self.committed.max(reached);
        }
        self.committed
    }

    /// What is committed, as far as the last [`advance`](Self::advance) or [`learn`](Self::learn)
    /// knew.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// End of the record that opened the epoch.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// The primary says what is committed; at a replica.
    pub fn learn(&mut self, committed: u64) {
        self.committed = self.committed.max(committed);
    }

    /// The log was replaced by another one that ends at `end`.
    pub fn restart(&mut self, end: u64) {
        self.committed = end;
    }

    /// Until when the primary may serve, in milliseconds of the monotonic clock.
    pub fn lease_end_ms(&self, shard: &Shard, consistency: Consistency, lease_ms: u64) -> u64 {
        let beat_of = |name: &str| {
            if name == self.myself {
                Some(u64::MAX)
            } else {
                self.replicas.get(name).and_then(|c| c.beat_ms)
            }
        };
        let beats = shard
            .members
            .iter()
            .filter_map(|member| beat_of(&member.name));
        let confirmed = beats
            .filter(|&beat| shard.is_write_held(|name| beat_of(name) >= Some(beat)))
            .max();
        let heard = match consistency {
            Consistency::Quorum => confirmed,
            Consistency::Eventual => confirmed.max(self.operator_ms),
        };
        heard.map_or(0, |heard| heard.saturating_add(lease_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::topology::{Member, Standing};

    fn shard(standings: &[Standing]) -> Shard {
        let member = |(index, &standing): (usize, &Standing)| Member {
            name: format!("m{index}"),
            id: String::new(),
            address: String::new(),
            standing,
        };
        Shard {
            name: "s".to_owned(),
            epoch: 1,
            primary: Some("m0".to_owned()),
            slots: "0".parse().unwrap(),
            members: standings.iter().enumerate().map(member).collect(),
        }
    }

    fn quorum(opened: u64) -> Quorum {
        let mut quorum = Quorum::default();
        quorum.begin("m0", opened);
        quorum
    }

    #[test]
    fn a_record_is_committed_when_a_majority_of_the_voters_holds_it() {
        let three = shard(&[Standing::Voter; 3]);
        let mut quorum = quorum(10);
        assert_eq!(quorum.advance(&three, 100), 0);
        quorum.confirm("m1", 60, 1);
        assert_eq!(quorum.advance(&three, 100), 60);
        quorum.confirm("m2", 90, 1);
        assert_eq!(quorum.advance(&three, 100), 90);
        quorum.confirm("m2", 40, 1);
        assert_eq!(quorum.advance(&three, 100), 90);
    }

    #[test]
    fn nothing_of_an_earlier_epoch_is_committed_before_this_one_has_begun() {
        let two = shard(&[Standing::Voter; 2]);
        let mut quorum = quorum(100);
        quorum.confirm("m1", 99, 1);
        assert_eq!(quorum.advance(&two, 120), 0);
        quorum.confirm("m1", 100, 1);
        assert_eq!(quorum.advance(&two, 120), 100);
    }

    #[test]
    fn the_lease_ends_after_the_beat_that_a_quorum_confirmed() {
        let three = shard(&[Standing::Voter; 3]);
        let end = |quorum: &Quorum, consistency| quorum.lease_end_ms(&three, consistency, 1000);
        let mut quorum = quorum(0);
        assert_eq!(end(&quorum, Consistency::Quorum), 0);
        quorum.confirm("m1", 0, 500);
        quorum.confirm("m2", 0, 300);
        assert_eq!(end(&quorum, Consistency::Quorum), 1500);
        quorum.operator_heard(700);
        assert_eq!(end(&quorum, Consistency::Quorum), 1500);
        assert_eq!(end(&quorum, Consistency::Eventual), 1700);
    }

    #[test]
    fn a_single_voter_needs_nobody() {
        let one = shard(&[Standing::Voter, Standing::Learner]);
        let mut quorum = quorum(5);
        assert_eq!(quorum.advance(&one, 70), 70);
        assert_eq!(
            quorum.lease_end_ms(&one, Consistency::Quorum, 1000),
            u64::MAX
        );
    }
}
