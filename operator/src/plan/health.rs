//! Claims about a shard that several rules, and the report, rely on.

use crate::observe::{Observed, Reach};
use protocol::status::{Follower, Role};
use protocol::topology::{Member, Shard, Standing, Topology};

/// What is wrong with a shard's primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// Members have promised a higher epoch, or the primary was restarted: the shard cannot serve
    /// until a new epoch has begun.
    Fenced,
    /// There is no process.
    Dead,
    /// There is no pod, or the connection broke.
    Missing,
    /// No answer within the detection timeout.
    Silent,
    /// It came back with another volume.
    Forgot,
    /// It came back having lost part of what it acknowledged.
    Unclean,
    /// It answers and has not served for the detection timeout.
    NotServing,
    /// It serves, and is on its way out.
    Leaving,
}

/// What is wrong with the primary of a shard, if anything.
pub fn concern_of(shard: &Shard, observed: &Observed, detection_ms: u64) -> Option<Concern> {
    let primary = shard.primary_member()?;
    // Also one that does not vote: it cannot follow this epoch any more.
    let fenced = |member: &Member| {
        observed
            .known(member)
            .is_some_and(|status| status.promised_epoch > shard.epoch)
    };
    if shard.members.iter().any(fenced) {
        return Some(Concern::Fenced);
    }
    let view = observed.members.get(&primary.name);
    let reach = view.map(|view| view.reach).unwrap_or_default();
    if observed.is_forgetful(primary) {
        return Some(Concern::Forgot);
    }
    if observed.is_dead(primary) {
        return Some(Concern::Dead);
    }
    match reach {
        Reach::Nowhere | Reach::Broken => return Some(Concern::Missing),
        Reach::Silent => return Some(Concern::Silent),
        Reach::Refused => return Some(Concern::Dead),
        Reach::Trying => return None,
        Reach::Answering => {}
    }
    let status = observed.known(primary)?;
    let serves = status.role == Role::Primary;
    if !serves && !status.clean {
        return Some(Concern::Unclean);
    }
    // From what a member does with an older topology than the newest nothing can be concluded.
    let version = observed
        .topology
        .as_ref()
        .map_or(0, |topology| topology.version);
    let informed = status.topology_version >= version;
    // A process never resumes an epoch that its log has records of: it needs a new one.
    if status.role == Role::Fenced && informed {
        return Some(Concern::Fenced);
    }
    let stale = view.is_some_and(|view| view.not_serving_ms >= detection_ms);
    if stale && informed && !(serves && (status.lease_valid || is_heard(shard, observed))) {
        return Some(Concern::NotServing);
    }
    (serves && observed.is_leaving(&primary.name)).then_some(Concern::Leaving)
}

/// Some replica has a connection to the primary: a lease that is missing will come.
fn is_heard(shard: &Shard, observed: &Observed) -> bool {
    let linked = |member: &Member| {
        let status = observed
            .known(member)
            .filter(|_| member.standing.is_electable());
        status
            .and_then(|status| status.link.as_ref())
            .is_some_and(|link| link.connected)
    };
    shard.members.iter().any(linked)
}

/// The primary's account of a replica that receives the log.
pub fn streaming<'a>(shard: &Shard, observed: &'a Observed, member: &str) -> Option<&'a Follower> {
    let primary = observed.serving_primary(shard)?;
    primary
        .followers
        .iter()
        .find(|follower| follower.name == member && follower.streaming)
}

/// The shard serves, all members it should have are voters, and all replicas are in sync.
pub fn is_whole(shard: &Shard, observed: &Observed, members: usize) -> bool {
    let in_sync = |member: &Member| {
        shard.primary.as_deref() == Some(member.name.as_str())
            || streaming(shard, observed, &member.name)
                .is_some_and(|f| f.lag_bytes <= LAG_BYTES_MAX)
    };
    let settled = |member: &Member| {
        member.standing == Standing::Voter
            && observed.known(member).is_some()
            && !observed.is_leaving(&member.name)
            && in_sync(member)
    };
    shard.members.len() == members
        && observed
            .serving_primary(shard)
            .is_some_and(|status| status.lease_valid)
        && shard.members.iter().all(settled)
}

/// A replica this far behind or less counts as in sync: a moment of traffic, not a catch-up.
pub const LAG_BYTES_MAX: u64 = 1024 * 1024;

/// All primaries serve with a valid lease.
pub fn all_serve(topology: &Topology, observed: &Observed) -> bool {
    let serves = |shard: &Shard| {
        observed
            .serving_primary(shard)
            .is_some_and(|status| status.lease_valid)
    };
    topology.shards.iter().all(serves)
}
