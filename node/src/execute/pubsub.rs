//! Publish and subscribe: who has subscribed to which channels, and messages to them.
//!
//! Three spaces of names that know nothing of each other: channels, patterns of channels, and
//! sharded channels, which belong to a slot and go where it goes. What is published here reaches
//! the subscribers of this member; [`Published`] is for the other members.

use super::Engine;
use super::session::{NAME_BYTES, Session, SessionId};
use crate::commands::glob;
use protocol::resp::{Protocol, ReplyWriter};
use protocol::slots::slot_of;
use std::collections::{BTreeMap, BTreeSet};

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Kind {
    /// The first words of what a client is told: it has subscribed, it has unsubscribed.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Channel => ("subscribe", "unsubscribe"),
            Self::Pattern => ("psubscribe", "punsubscribe"),
            Self::Shard => ("ssubscribe", "sunsubscribe"),
        }
    }
}

/// A message for the subscribers of other members.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    pub sharded: bool,
    pub channel: Vec<u8>,
    pub message: Vec<u8>,
}

type Subscribers = BTreeMap<Box<[u8]>, BTreeSet<SessionId>>;

/// All subscriptions.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: Subscribers,
    patterns: Subscribers,
    shards: Subscribers,
    /// Messages that other members are to hear of.
    pub published: Vec<Published>,
}

impl PubSub {
    pub fn of(&self, kind: Kind) -> &Subscribers {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Subscribers {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> usize {
        self.of(kind).get(name).map_or(0, BTreeSet::len)
    }

    fn add(&mut self, kind: Kind, name: &[u8], id: SessionId) {
        let subscribers = self.of_mut(kind);
        if let Some(sessions) = subscribers.get_mut(name) {
            sessions.insert(id);
        } else {
            subscribers.insert(name.into(), BTreeSet::from([id]));
        }
    }

    fn remove(&mut self, kind: Kind, name: &[u8], id: SessionId) {
        let subscribers = self.of_mut(kind);
        if let Some(sessions) = subscribers.get_mut(name) {
            sessions.remove(&id);
            if sessions.is_empty() {
                subscribers.remove(name);
            }
        }
    }
}

/// What one session has subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: BTreeSet<Box<[u8]>>,
    patterns: BTreeSet<Box<[u8]>>,
    shards: BTreeSet<Box<[u8]>>,
    /// Of the names, all together.
    name_bytes: usize,
}

impl Subscriptions {
    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        let names = self.channels.len() + self.patterns.len() + self.shards.len();
        names * NAME_BYTES + self.name_bytes
    }

    fn insert(&mut self, kind: Kind, name: &[u8]) -> bool {
        let is_new = self.of_mut(kind).insert(name.into());
        self.name_bytes += if is_new { name.len() } else { 0 };
        is_new
    }

    fn remove(&mut self, kind: Kind, name: &[u8]) -> bool {
        let was_there = self.of_mut(kind).remove(name);
        self.name_bytes -= if was_there { name.len() } else { 0 };
        was_there
    }

    pub fn of(&self, kind: Kind) -> &BTreeSet<Box<[u8]>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut BTreeSet<Box<[u8]>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    /// How many there are of a kind, as clients are told: patterns count with channels.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.channels.len() + self.patterns.len(),
            Kind::Shard => self.shards.len(),
        }
    }

    fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shards.is_empty()
    }
}

/// Tells a client of a subscription that has begun or ended.
fn tell(reply: &mut ReplyWriter, word: &str, name: Option<&[u8]>, count: usize) {
    reply.push(3);
    reply.bulk(word.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count as i64);
}

impl Session {
    pub fn subscribed(&self, kind: Kind) -> usize {
        let held = self.subscriptions.as_deref();
        held.map_or(0, |held| held.of(kind).len())
    }

    /// Whether it has subscribed to anything.
    pub fn listens(&self) -> bool {
        self.subscriptions.is_some()
    }
}

impl super::Context<'_> {
    pub fn subscribe(&mut self, kind: Kind, name: &[u8]) {
        let Some(id) = self.engine.running.session else {
            return;
        };
        let held = self.session.subscriptions.get_or_insert_default();
        if held.insert(kind, name) {
            self.engine.pubsub.add(kind, name, id);
        }
        tell(
            &mut self.reply,
            kind.words().0,
            Some(name),
            held.count(kind),
        );
    }

    pub fn unsubscribe(&mut self, kind: Kind, name: &[u8]) {
        let mut count = 0;
        if let Some(held) = &mut self.session.subscriptions {
            if held.remove(kind, name)
                && let Some(id) = self.engine.running.session
            {
                self.engine.pubsub.remove(kind, name, id);
            }
            count = held.count(kind);
            if held.is_empty() {
                self.session.subscriptions = None;
            }
        }
        tell(&mut self.reply, kind.words().1, Some(name), count);
    }

    /// Ends all subscriptions of a kind.
    pub fn unsubscribe_all(&mut self, kind: Kind) {
        let (mut names, mut count) = (Vec::new(), 0);
        if let Some(held) = &self.session.subscriptions {
            names.extend(held.of(kind).iter().cloned());
            count = held.count(kind);
        }
        for name in &names {
            self.unsubscribe(kind, name);
        }
        if names.is_empty() {
            tell(&mut self.reply, kind.words().1, None, count);
        }
    }

    /// Ends all subscriptions without a word.
    pub fn forget_subscriptions(&mut self) {
        if let Some(id) = self.engine.running.session {
            self.engine.forget_subscriptions(id, self.session);
        }
    }
}

/// A message in both protocols, each written when somebody needs it.
#[derive(Default)]
struct Written([Option<Vec<u8>>; 2]);

impl Written {
    fn get(&mut self, protocol: Protocol, words: &[&[u8]]) -> &[u8] {
        self.0[usize::from(protocol == Protocol::Resp3)].get_or_insert_with(|| {
            let mut out = Vec::new();
            let mut reply = ReplyWriter::new(&mut out, protocol);
            reply.push(words.len());
            for word in words {
                reply.bulk(word);
            }
            out
        })
    }
}

impl Engine {
    /// Sends a message to everybody here who has subscribed to the channel, or to a pattern that it
    /// matches; gives how many they are.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        if self.pubsub.channels.is_empty() && self.pubsub.patterns.is_empty() {
            return 0;
        }
        let mut count = 0;
        if let Some(sessions) = self.pubsub.channels.get(channel) {
            let sessions: Vec<SessionId> = sessions.iter().copied().collect();
            count += self.send_words(&sessions, &[b"message", channel, message]);
        }
        let matching: Vec<(Box<[u8]>, Vec<SessionId>)> = self
            .pubsub
            .patterns
            .iter()
            .filter(|(pattern, _)| glob::matches(pattern, channel))
            .map(|(pattern, sessions)| (pattern.clone(), sessions.iter().copied().collect()))
            .collect();
        for (pattern, sessions) in matching {
            count += self.send_words(&sessions, &[b"pmessage", &pattern, channel, message]);
        }
        count
    }

    /// The same for a sharded channel.
    pub fn publish_sharded(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let sessions = self.pubsub.shards.get(channel);
        let sessions: Vec<SessionId> = sessions.map_or(Vec::new(), |s| s.iter().copied().collect());
        let (mut written, mut bytes) = (Written::default(), 0);
        for &id in &sessions {
            if let Some(protocol) = self.protocol_of(id) {
                let message = written.get(protocol, &[b"smessage", channel, message]);
                bytes += message.len();
                self.send(id, message);
            }
        }
        self.count_slot_output(channel, bytes);
        sessions.len()
    }

    /// Keeps a message for the other members.
    pub fn forward(&mut self, sharded: bool, channel: &[u8], message: &[u8]) {
        if self.view.cluster.is_some() {
            self.pubsub.published.push(Published {
                sharded,
                channel: channel.to_vec(),
                message: message.to_vec(),
            });
        }
    }

    /// Sends the same words to sessions; gives how many these are.
    pub(super) fn send_words(&mut self, sessions: &[SessionId], words: &[&[u8]]) -> usize {
        let mut written = Written::default();
        for &id in sessions {
            if let Some(protocol) = self.protocol_of(id) {
                self.send(id, written.get(protocol, words));
            }
        }
        sessions.len()
    }

    /// Ends the subscriptions to sharded channels whose slots this shard has lost.
    pub fn drop_moved_channels(&mut self) {
        if self.pubsub.shards.is_empty() {
            return;
        }
        let view = &self.view;
        let all = self.pubsub.shards.iter();
        let moved: Vec<(Box<[u8]>, Vec<SessionId>)> = all
            .filter(|(channel, _)| !view.is_of_my_shard(slot_of(channel)))
            .map(|(channel, sessions)| (channel.clone(), sessions.iter().copied().collect()))
            .collect();
        for (channel, sessions) in moved {
            self.pubsub.shards.remove(&channel);
            for id in sessions {
                self.end_subscription(id, &channel);
            }
        }
    }

    fn end_subscription(&mut self, id: SessionId, channel: &[u8]) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(held) = &mut session.subscriptions else {
            return;
        };
        held.shards.remove(channel);
        let count = held.count(Kind::Shard);
        if held.is_empty() {
            session.subscriptions = None;
        }
        let mut out = Vec::new();
        let mut reply = ReplyWriter::new(&mut out, session.protocol);
        tell(&mut reply, Kind::Shard.words().1, Some(channel), count);
        self.send(id, &out);
    }

    pub(super) fn forget_subscriptions(&mut self, id: SessionId, session: &mut Session) {
        let Some(held) = session.subscriptions.take() else {
            return;
        };
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in held.of(kind) {
                self.pubsub.remove(kind, name, id);
            }
        }
    }
}
