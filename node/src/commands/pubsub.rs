//! Publish and subscribe: SUBSCRIBE and its like, PUBLISH, PUBSUB.

use super::Group::PubSub;
use super::flag::{FAST, LOADING, MAY_REPLICATE, NO_SCRIPT, PUBSUB, STALE};
use super::{Command, command, glob, help};
use crate::execute::Context;
use crate::execute::pubsub::Kind;

const USUAL: u32 = PUBSUB | NO_SCRIPT | LOADING | STALE;

pub const COMMANDS: &[Command] = &[
    command(
        "subscribe",
        -2,
        PubSub,
        "2.0.0",
        "Listens for messages published to channels.",
        |context, arguments| subscribe(context, arguments, Kind::Channel),
    )
    .syntax("channel...")
    .flags(USUAL),
    command(
        "unsubscribe",
        -1,
        PubSub,
        "2.0.0",
        "Stops listening to messages posted to channels.",
        |context, arguments| unsubscribe(context, arguments, Kind::Channel),
    )
    .syntax("[channel...]")
    .flags(USUAL),
    command(
        "psubscribe",
        -2,
        PubSub,
        "2.0.0",
        "Listens for messages published to channels that match patterns.",
        |context, arguments| subscribe(context, arguments, Kind::Pattern),
    )
    .syntax("(pattern=pattern)...")
    .flags(USUAL),
    command(
        "punsubscribe",
        -1,
        PubSub,
        "2.0.0",
        "Stops listening to messages published to channels that match patterns.",
        |context, arguments| unsubscribe(context, arguments, Kind::Pattern),
    )
    .syntax("[pattern...]")
    .flags(USUAL),
    command(
        "ssubscribe",
        -2,
        PubSub,
        "7.0.0",
        "Listens for messages published to shard channels.",
        |context, arguments| subscribe(context, arguments, Kind::Shard),
    )
    .syntax("shardchannel...")
    .key_flags("not_key")
    .flags(USUAL)
    .key_range(1, -1, 1),
    command(
        "sunsubscribe",
        -1,
        PubSub,
        "7.0.0",
        "Stops listening to messages posted to shard channels.",
        |context, arguments| unsubscribe(context, arguments, Kind::Shard),
    )
    .syntax("[shardchannel...]")
    .key_flags("not_key")
    .flags(USUAL)
    .key_range(1, -1, 1),
    command(
        "publish",
        3,
        PubSub,
        "2.0.0",
        "Posts a message to a channel.",
        publish,
    )
    .syntax("channel message")
    .flags(PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE),
    command(
        "spublish",
        3,
        PubSub,
        "7.0.0",
        "Posts a message to a shard channel.",
        publish_sharded,
    )
    .syntax("shardchannel message")
    .key_flags("not_key")
    .flags(PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE)
    .one_key(),
    command(
        "pubsub",
        -2,
        PubSub,
        "2.8.0",
        "A container for commands about publish and subscribe.",
        |_, _| {},
    )
    .subcommands(&[
        command(
            "pubsub|channels",
            -2,
            PubSub,
            "2.8.0",
            "Returns the channels that somebody listens to.",
            |context, arguments| channels(context, arguments, Kind::Channel),
        )
        .syntax("[pattern]")
        .flags(PUBSUB | LOADING | STALE),
        command(
            "pubsub|numsub",
            -2,
            PubSub,
            "2.8.0",
            "Counts the subscribers of channels.",
            |context, arguments| count(context, arguments, Kind::Channel),
        )
        .syntax("[channel...]")
        .flags(PUBSUB | LOADING | STALE),
        command(
            "pubsub|numpat",
            2,
            PubSub,
            "2.8.0",
            "Counts the patterns that somebody listens to.",
            |context, _| {
                let count = context.engine.pubsub.of(Kind::Pattern).len();
                context.reply.integer(count as i64);
            },
        )
        .flags(PUBSUB | LOADING | STALE),
        command(
            "pubsub|shardchannels",
            -2,
            PubSub,
            "7.0.0",
            "Returns the shard channels that somebody listens to.",
            |context, arguments| channels(context, arguments, Kind::Shard),
        )
        .syntax("[pattern]")
        .flags(PUBSUB | LOADING | STALE),
        command(
            "pubsub|shardnumsub",
            -2,
            PubSub,
            "7.0.0",
            "Counts the subscribers of shard channels.",
            |context, arguments| count(context, arguments, Kind::Shard),
        )
        .syntax("[shardchannel...]")
        .flags(PUBSUB | LOADING | STALE),
        command(
            "pubsub|help",
            2,
            PubSub,
            "6.2.0",
            "Lists the subcommands.",
            help,
        )
        .flags(LOADING | STALE),
    ]),
];

fn subscribe(context: &mut Context, arguments: &[&[u8]], kind: Kind) {
    for name in &arguments[1..] {
        context.subscribe(kind, name);
    }
}

fn unsubscribe(context: &mut Context, arguments: &[&[u8]], kind: Kind) {
    if arguments.len() == 1 {
        return context.unsubscribe_all(kind);
    }
    for name in &arguments[1..] {
        context.unsubscribe(kind, name);
    }
}

fn publish(context: &mut Context, arguments: &[&[u8]]) {
    let count = context.engine.publish(arguments[1], arguments[2]);
    context.engine.forward(false, arguments[1], arguments[2]);
    context.reply.integer(count as i64);
}

fn publish_sharded(context: &mut Context, arguments: &[&[u8]]) {
    let count = context.engine.publish_sharded(arguments[1], arguments[2]);
    context.engine.forward(true, arguments[1], arguments[2]);
    context.reply.integer(count as i64);
}

/// What another member has published.
pub fn publish_forwarded(context: &mut Context, arguments: &[&[u8]]) {
    let (channel, message) = (arguments[2], arguments[3]);
    let count = match arguments[1].to_ascii_uppercase().as_slice() {
        b"CHANNEL" => context.engine.publish(channel, message),
        b"SHARD" => context.engine.publish_sharded(channel, message),
        _ => return context.reply.error("ERR kind must be CHANNEL or SHARD"),
    };
    context.reply.integer(count as i64);
}

fn channels(context: &mut Context, arguments: &[&[u8]], kind: Kind) {
    if arguments.len() > 3 {
        return wrong_arguments(context, arguments);
    }
    let fits = |name: &&[u8]| {
        let pattern = arguments.get(2);
        pattern.is_none_or(|pattern| glob::matches(pattern, name))
    };
    let all = context.engine.pubsub.of(kind).keys();
    let names: Vec<&[u8]> = all.map(|name| &**name).filter(fits).collect();
    context.reply.array(names.len());
    for name in names {
        context.reply.bulk(name);
    }
}

fn wrong_arguments(context: &mut Context, arguments: &[&[u8]]) {
    let failure = crate::execute::context::Failure::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        arguments[1],
        "'. Try PUBSUB HELP.",
    );
    context.answer(Err(failure));
}

fn count(context: &mut Context, arguments: &[&[u8]], kind: Kind) {
    context.reply.array(2 * (arguments.len() - 2));
    for name in &arguments[2..] {
        let count = context.engine.pubsub.subscribers(kind, name);
        context.reply.bulk(name);
        context.reply.integer(count as i64);
    }
}
