//! DEBUG: what test suites and people who look for a fault use of it. Off unless
//! `enable-debug-command` allows it; nothing of it can end the server or lose data.

mod protocol_types;

use super::Group::Server;
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_SCRIPT, STALE};
use super::{Command, answers, command, server::split_address};
use crate::execute::Context;
use crate::execute::config::DebugCommand;
use crate::execute::context::Failure;
use crate::keyspace::Place;
use crate::keyspace::digest::value_digest;
use crate::keyspace::entry::{Value, ValueRef};
use crate::keyspace::eviction::idle_seconds;
use crate::rdb;
use protocol::resp::parse_i64;
use std::time::Duration;

pub const COMMANDS: &[Command] = &[command(
    "debug",
    -2,
    Server,
    "1.0.0",
    "Looks into the server.",
    answers!(debug),
)
.flags(ADMIN | DANGEROUS | NO_SCRIPT | LOADING | STALE)
.partial(
    "off unless enable-debug-command is yes or local; CLIENT-ENFORCE-REPLY-LIST, DICT-RESIZING, \
     HASHTABLE-CAN-ABORT-SHRINK, DIGEST, DIGEST-VALUE, ERROR, HELP, HTSTATS-KEY, LOADAOF, \
     OBJECT, PAUSE-CRON, POPULATE, PROTOCOL, QUICKLIST-PACKED-THRESHOLD, RELOAD, REPLYBUFFER, \
     SET-ACTIVE-EXPIRE, SET-DISABLE-DENY-SCRIPTS, SLEEP",
)];

/// `DEBUG SLEEP` sleeps no longer.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

/// `DEBUG POPULATE` looks at no more keys in one go.
const POPULATE_KEYS_MAX: u64 = 10_000_000;

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CLIENT-ENFORCE-REPLY-LIST <0|1>, DICT-RESIZING <0|1>, HASHTABLE-CAN-ABORT-SHRINK <0|1>",
    "    Accepted; there is one way here to keep replies and to resize tables.",
    "DIGEST",
    "    Returns a digest of all keys.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Returns a digest of the value of each key.",
    "ERROR <text>",
    "    Replies with the text as an error.",
    "HTSTATS-KEY <key>",
    "    Describes the table of a hash, a set or a sorted set.",
    "LOADAOF",
    "    As RELOAD.",
    "OBJECT <key>",
    "    Describes a value.",
    "PAUSE-CRON <0|1>",
    "    Accepted; what is done regularly goes on.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Creates strings <prefix>:<number>; the prefix is key unless given.",
    "PROTOCOL <type>",
    "    Replies with a value of that type of the protocol.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted; lists here have no such limit.",
    "RELOAD",
    "    Writes every value in the RDB format and puts what is read back in its place.",
    "REPLYBUFFER PEAK-RESET-TIME|RESIZING <value>",
    "    Accepted; room for replies is given back when a connection is idle.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether keys that nobody asks for are removed when they expire.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Whether scripts may call DEBUG and CLIENT LIST.",
    "SLEEP <seconds>",
    "    Executes nothing for so long.",
    "HELP",
    "    Prints this help.",
];

const NOT_ALLOWED: &str = "ERR DEBUG command not allowed. If the enable-debug-command option \
     is set to \"local\", you can run it from a local connection, otherwise you need to set this \
     option in the configuration file, and then restart the server.";

fn debug(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if !is_allowed(context) {
        return Err(NOT_ALLOWED.into());
    }
    let name = arguments[1].to_ascii_uppercase();
    match (name.as_slice(), &arguments[2..]) {
        (b"DIGEST", []) => {
            let digest = context.engine.keyspace.digest();
            context.reply.simple(&shown(digest));
        }
        (b"DIGEST-VALUE", keys) => digest_values(context, keys),
        (b"ERROR", [text]) => context.reply.error_bytes(text),
        (b"HELP", []) => {
            context.reply.array(HELP.len());
            for line in HELP {
                context.reply.simple(line);
            }
        }
        (b"HTSTATS-KEY", [key] | [key, _]) => return table(context, key),
        (b"LOADAOF", []) => return reload(context),
        (b"RELOAD", options) => {
            check_reload(context, options)?;
            return reload(context);
        }
        (b"OBJECT", [key] | [key, _]) => return object(context, key),
        (b"POPULATE", [_] | [_, _] | [_, _, _]) => return populate(context, &arguments[2..]),
        (b"PROTOCOL", [kind]) => return protocol_types::reply(context, kind),
        (
            b"CLIENT-ENFORCE-REPLY-LIST"
            | b"DICT-RESIZING"
            | b"HASHTABLE-CAN-ABORT-SHRINK"
            | b"PAUSE-CRON"
            | b"QUICKLIST-PACKED-THRESHOLD",
            [_],
        )
        | (b"REPLYBUFFER", [_, _]) => context.reply.ok(),
        (b"SET-ACTIVE-EXPIRE", [on]) => {
            context.engine.expires_actively = *on != b"0";
            context.reply.ok();
        }
        (b"SET-DISABLE-DENY-SCRIPTS", [on]) => {
            context.engine.scripts.may_look = *on != b"0";
            context.reply.ok();
        }
        (b"SLEEP", [seconds]) => sleep(context, seconds),
        _ => {
            return Err(Failure::quoting(
                "ERR unknown subcommand or wrong number of arguments for '",
                arguments[1],
                "'. Try DEBUG HELP.",
            ));
        }
    }
    Ok(())
}

fn is_allowed(context: &Context) -> bool {
    let is_local = || {
        let (host, _) = split_address(&context.session.address);
        ["127.", "[::ffff:127.", "[::1]"]
            .iter()
            .any(|start| host.starts_with(start))
    };
    match context.engine.config.debug_command {
        DebugCommand::Yes => true,
        DebugCommand::Local => is_local(),
        DebugCommand::No => false,
    }
}

/// A digest as the forty hexadecimal digits that those of Redis have.
fn shown(digest: u64) -> String {
    format!("{digest:016x}{digest:016x}{:08x}", digest as u32)
}

fn digest_values(context: &mut Context, keys: &[&[u8]]) {
    context.reply.array(keys.len());
    for key in keys {
        let key = context.hashed(key);
        let digest = context.peek(&key).map_or(0, value_digest);
        context.reply.bulk(shown(digest).as_bytes());
    }
}

fn object(context: &mut Context, key: &[u8]) -> Result<(), Failure> {
    let key = context.hashed(key);
    let now_ms = context.now_ms;
    let encodings = context.engine.config.encodings;
    // A key that has expired and is still here is shown, and stays.
    let entry = context.engine.keyspace.find(&key);
    let entry = entry.ok_or("ERR no such key")?;
    // What stands around the value in a payload: its type, the version and a checksum.
    let length = rdb::dump(entry.value()).len().saturating_sub(11);
    let access = entry.access();
    let text = format!(
        "Value at:0x0 refcount:1 encoding:{} serializedlength:{length} lru:{access} \
         lru_seconds_idle:{}",
        entry.encoding(),
        idle_seconds(access, now_ms)
    );
    let list = match entry.encoding() {
        "quicklist" => format!(
            " ql_listpack_max:{} ql_compressed:{}",
            encodings.list_size,
            u8::from(encodings.list_compress_depth > 0)
        ),
        _ => String::new(),
    };
    context.reply.simple(&(text + &list));
    Ok(())
}

/// Tables here have no chains, and grow at once: there is one, and how full it is says it all.
fn table(context: &mut Context, key: &[u8]) -> Result<(), Failure> {
    let key = context.hashed(key);
    let entry = context.peek(&key).ok_or("ERR no such key")?;
    let hashed = matches!(entry.encoding(), "hashtable" | "skiplist");
    let count = match entry.value() {
        ValueRef::Hash(hash) if hashed => hash.len(),
        ValueRef::Set(set) if hashed => set.len(),
        ValueRef::Sorted(set) if hashed => set.len(),
        _ => {
            let text = "ERR The value stored at the specified key is not represented using an \
                        hash table";
            return Err(text.into());
        }
    };
    let text = format!("Hash table 0 stats (main hash table):\n number of elements: {count}\n");
    context.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// There is no file between: what is read back is what was just written.
fn check_reload(context: &Context, options: &[&[u8]]) -> Result<(), Failure> {
    let has = |name: &[u8]| options.iter().any(|word| word.eq_ignore_ascii_case(name));
    let known: [&[u8]; 3] = [b"MERGE", b"NOFLUSH", b"NOSAVE"];
    let is_known = |word: &&[u8]| known.iter().any(|name| word.eq_ignore_ascii_case(name));
    if !options.iter().all(is_known) {
        let text = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";
        return Err(text.into());
    }
    if has(b"NOSAVE") && !(has(b"NOFLUSH") && has(b"MERGE")) {
        return Err("ERR NOSAVE is not supported without NOFLUSH and MERGE".into());
    }
    let engine = &context.engine;
    let empty = engine.keyspace.is_empty() && engine.scripts.libraries.by_name.is_empty();
    if has(b"NOFLUSH") && !has(b"MERGE") && !empty {
        return Err("ERR Error trying to load the RDB dump, check server logs.".into());
    }
    Ok(())
}

/// What [`reload`] notes of a key: its name, its value as an RDB payload, its expiry and its use.
type Saved = (Vec<u8>, Vec<u8>, Option<u64>, u32);

/// Puts every value through the RDB format. Nothing changes by it, so nothing is logged.
fn reload(context: &mut Context) -> Result<(), Failure> {
    let limits = context.engine.rdb_limits();
    let mut place = Some(Place::default());
    while let Some(at) = place {
        let mut saved: Vec<Saved> = Vec::new();
        place = context.engine.keyspace.visit(at, |entry| {
            saved.push((
                entry.key().to_vec(),
                rdb::dump(entry.value()),
                entry.expires_at_ms(),
                entry.access(),
            ));
        });
        for (key, payload, expires_at_ms, access) in saved {
            let value: Value = rdb::restore(&payload, &limits).map_err(|error| {
                Failure::quoting("ERR Error trying to load the RDB dump of ", &key, "")
                    .and(format!(": {error}").into())
            })?;
            let key = context.engine.keyspace.hashed(&key);
            let keyspace = &mut context.engine.keyspace;
            keyspace.insert(&key, value, expires_at_ms, access);
        }
    }
    context.reply.ok();
    Ok(())
}

fn within(argument: &[u8], max: u64) -> Result<u64, Failure> {
    let number = parse_i64(argument).and_then(|number| u64::try_from(number).ok());
    let number = number.filter(|number| *number <= max);
    number.ok_or("ERR value is out of range, must be positive".into())
}

fn populate(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let count = within(arguments[0], POPULATE_KEYS_MAX)?;
    let prefix = arguments.get(1).copied().unwrap_or(b"key");
    let size = match arguments.get(2) {
        Some(size) => within(size, context.engine.config.bulk_bytes_max as u64)? as usize,
        None => 0,
    };
    let refusal = context.engine.view.check_settings();
    refusal.map_err(|refusal| Failure::from(refusal.to_string()))?;
    for number in 0..count {
        let name = [prefix, format!(":{number}").as_bytes()].concat();
        let key = context.engine.keyspace.hashed(&name);
        if !context.engine.view.owns(key.slot) || context.peek(&key).is_some() {
            continue;
        }
        if context.engine.is_full() {
            return Err("OOM command not allowed when used memory > 'maxmemory'.".into());
        }
        let mut value = format!("value:{number}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        context.put_string(&key, &value, None);
    }
    context.reply.ok();
    Ok(())
}

fn sleep(context: &mut Context, seconds: &[u8]) {
    let seconds = std::str::from_utf8(seconds).ok();
    let seconds = seconds.and_then(|seconds| seconds.trim().parse::<f64>().ok());
    let seconds = seconds.unwrap_or(0.0).clamp(0.0, SLEEP_SECONDS_MAX);
    if let (Ok(time), Some(stall)) = (Duration::try_from_secs_f64(seconds), context.engine.stall) {
        stall(time);
        context.engine.stalled_ms = time.as_millis() as u64;
    }
    context.reply.ok();
}
