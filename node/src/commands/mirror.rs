//! Redis' own replication, for servers and tools that copy from here; see `execute::mirror`.

use super::Group::Server;
use super::flag::STALE;
use super::flag::{ADMIN, ALLOW_BUSY, DANGEROUS, LOADING, NO_ASYNC_LOADING, NO_MULTI, NO_SCRIPT};
use super::{Command, answers, command};
use crate::execute::context::Failure;
use crate::execute::mirror::{MirrorRequest, Wants};
use crate::execute::{Context, Outcome};
use protocol::resp::{parse_i64, split_words};
use protocol::status::Role;

const FOLLOWS: u32 = ADMIN | DANGEROUS | NO_ASYNC_LOADING | NO_MULTI | NO_SCRIPT;

const NO_PARTIAL: &str = "always begins with a whole RDB file; nothing waits for who follows";

pub const COMMANDS: &[Command] = &[
    command(
        "psync",
        -3,
        Server,
        "2.8.0",
        "Follows as a Redis does.",
        answers!(psync),
    )
    .syntax("replicationid offset")
    .flags(FOLLOWS)
    .partial(NO_PARTIAL),
    command(
        "replconf",
        -1,
        Server,
        "3.0.0",
        "Says what a client that follows can do.",
        answers!(replconf),
    )
    .flags(ADMIN | DANGEROUS | NO_SCRIPT | LOADING | STALE | ALLOW_BUSY),
    command(
        "sync",
        1,
        Server,
        "1.0.0",
        "Follows as an old Redis does.",
        answers!(sync),
    )
    .flags(FOLLOWS)
    .partial(NO_PARTIAL),
];

fn sync(context: &mut Context, _arguments: &[&[u8]]) -> Result<(), Failure> {
    follow(context, MirrorRequest::Sync)
}

fn psync(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if parse_i64(arguments[2]).is_none() {
        return Err("ERR value is not an integer or out of range".into());
    }
    follow(context, MirrorRequest::Psync)
}

fn follow(context: &mut Context, request: MirrorRequest) -> Result<(), Failure> {
    if !matches!(context.engine.view.role, Role::Primary | Role::Standalone) {
        return Err("NOMASTERLINK Can't SYNC while not connected with my master".into());
    }
    context.outcome = Outcome::Mirror(request);
    Ok(())
}

fn replconf(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if arguments.len().is_multiple_of(2) {
        return Err("ERR syntax error".into());
    }
    for pair in arguments[1..].chunks_exact(2) {
        let option = pair[0].to_ascii_lowercase();
        let mirror = context.session.mirror_mut();
        match option.as_slice() {
            b"listening-port" => mirror.port = port(pair[1])?,
            b"rdb-only" => {
                let value = parse_i64(pair[1]).filter(|value| (0..=1).contains(value));
                mirror.base_only = value.ok_or("ERR value is out of range")? == 1;
            }
            b"ip-address" => mirror.host = host(pair[1])?,
            b"rdb-filter-only" => mirror.wants = wants(pair[1])?,
            // Every client is sent an RDB file of known length, which each understands.
            b"capa" | b"version" => {}
            // Whoever follows says how far it is; nobody waits for it, and it expects no reply.
            b"ack" | b"fack" | b"getack" => return Ok(()),
            _ => {
                let text = String::from_utf8_lossy(pair[0]);
                return Err(format!("ERR Unrecognized REPLCONF option: {text}").into());
            }
        }
    }
    context.reply.ok();
    Ok(())
}

fn port(text: &[u8]) -> Result<u16, Failure> {
    let number = parse_i64(text).ok_or("ERR value is not an integer or out of range")?;
    u16::try_from(number).map_err(|_| "ERR value is out of range".into())
}

/// Longest address that a client may give for itself, as in Redis.
const HOST_BYTES_MAX: usize = 256;

fn host(text: &[u8]) -> Result<String, Failure> {
    let length = text.len();
    if length >= HOST_BYTES_MAX {
        let before = "ERR REPLCONF ip-address provided by replica instance is too long";
        return Err(format!("{before}: {length} bytes").into());
    }
    // It is shown in lines of fields.
    let host = String::from_utf8_lossy(text);
    Ok(host.replace(|letter: char| letter.is_control() || letter == ',', "?"))
}

/// What the RDB file is to hold: of what is named, there is only one part so far.
fn wants(text: &[u8]) -> Result<Wants, Failure> {
    let names = split_words(text).ok_or("ERR Missing rdb-filter-only values")?;
    let is_known = |name: &Vec<u8>| name.eq_ignore_ascii_case(b"functions");
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        let before = "ERR Unsupported rdb-filter-only option: ";
        return Err(Failure::quoting(before, name, ""));
    }
    Ok(Wants {
        functions: !names.is_empty(),
        keys: false,
    })
}
