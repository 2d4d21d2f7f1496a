//! Putting a sorted set that a command has made in the place of a key.

use super::SortedSet;
use crate::execute::Context;
use crate::execute::notify::class;
use crate::values::Collection;

/// How the effect of a store is written.
pub enum Effect<'a> {
    /// As the command itself, which gives the same again.
    Command(&'a [&'a [u8]]),
    /// As the members stored: what gave them may come out otherwise on another machine.
    Members,
}

/// Members of one effect.
const EFFECT_MEMBERS: usize = 128;

/// Puts the set in the place of whatever the key holds, or removes the key when the set is empty;
/// replies with the number of members.
pub fn store(context: &mut Context, name: &[u8], set: SortedSet, event: &str, effect: &Effect) {
    let key = context.hashed(name);
    context.reply.integer(set.len() as i64);
    let was_there = context.peek(&key).is_some();
    if set.is_empty() {
        if was_there && context.remove(&key) {
            context.engine.notify(class::GENERIC, "del", name);
        }
        return;
    }
    let first_effect = context.engine.effects.len();
    match effect {
        Effect::Command(words) => {
            context.put(&key, set.wrap(), None);
            context.changed(&key, words);
        }
        Effect::Members => {
            if was_there {
                context.changed(&key, &[b"DEL", name]);
            }
            log_members(context, name, &set);
            context.put(&key, set.wrap(), None);
        }
    }
    context.make_atomic(first_effect);
    if !was_there {
        context.engine.notify(class::NEW, "new", name);
    }
    context.engine.notify(class::SORTED, event, name);
}

fn log_members(context: &mut Context, name: &[u8], set: &SortedSet) {
    let key = context.hashed(name);
    let mut items = set.iter();
    loop {
        let part = items.by_ref().take(EFFECT_MEMBERS);
        let part: Vec<(Vec<u8>, &[u8])> = part
            .map(|(score, member)| (protocol::resp::double_text(score), member))
            .collect();
        if part.is_empty() {
            return;
        }
        let mut words: Vec<&[u8]> = vec![b"ZADD", name];
        words.extend(
            part.iter()
                .flat_map(|(score, member)| [score.as_slice(), *member]),
        );
        context.changed(&key, &words);
    }
}
