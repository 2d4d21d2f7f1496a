//! A change of the topology in the making: the only way rules produce a Commit, so that every
//! commit is one version newer, keeps the invariants, and says what it means.

use super::{Action, Because, News, Verdict};
use protocol::topology::{Shard, Topology};

/// A copy of the topology to be changed.
pub struct Edit {
    before: Topology,
    after: Topology,
    news: Vec<News>,
}

impl Edit {
    pub fn of(topology: &Topology) -> Self {
        Self {
            before: topology.clone(),
            after: topology.clone(),
            news: Vec::new(),
        }
    }

    pub fn topology(&self) -> &Topology {
        &self.after
    }

    pub fn topology_mut(&mut self) -> &mut Topology {
        &mut self.after
    }

    /// Puts a changed shard in the place of the one with its name.
    pub fn replace(&mut self, shard: Shard) {
        if let Some(place) = self.after.shard_mut(&shard.name) {
            *place = shard;
        }
    }

    pub fn tell(&mut self, news: News) {
        self.news.push(news);
    }

    pub fn is_changed(&self) -> bool {
        self.before != self.after
    }

    /// The commit, when there is a change that keeps the topology's invariants.
    pub fn into_commit(self) -> Option<Action> {
        let changed = self.is_changed();
        let mut topology = self.after;
        topology.version = self.before.version + 1;
        debug_assert!(topology.validate().is_ok(), "{:?}", topology.validate());
        let valid = topology.validate().is_ok();
        let news = self.news;
        (changed && valid).then(|| Action::Commit {
            topology: Box::new(topology),
            news,
        })
    }

    /// Act on the change, or proceed when there is none.
    pub fn into_verdict(self, because: impl FnOnce() -> Because) -> Verdict {
        match self.into_commit() {
            Some(commit) => Verdict::Act(vec![commit], because()),
            None => Verdict::Proceed,
        }
    }
}
