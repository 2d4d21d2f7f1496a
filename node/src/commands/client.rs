//! CLIENT: ID, INFO, SETNAME, GETNAME, LIST, KILL, SETINFO, NO-EVICT, REPLY.

use super::Group::Connection;
use super::client_filter::{Command as Filtered, Filter};
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_SCRIPT, STALE};
use super::{Command, command, help};
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::session::{Condition, ReplyMode, Session, SessionId};
use crate::execute::{Context, Outcome};

pub const USUAL: u32 = NO_SCRIPT | LOADING | STALE;

/// What clients may be looked for by, beside their kind and id, with this between the filters.
macro_rules! filters {
    ($between:literal) => {
        concat!(
            "[USER username]",
            $between,
            "[ADDR addr:string:ip:port]",
            $between,
            "[LADDR laddr:string:ip:port]",
            $between,
            "[SKIPME (skipme=YES|NO)]",
            $between,
            "[MAXAGE maxage:integer]",
            $between,
            "[NAME name]",
            $between,
            "[IDLE idle:integer]",
            $between,
            "[FLAGS flags]",
            $between,
            "[LIB-NAME lib-name]",
            $between,
            "[LIB-VER lib-ver]",
            $between,
            "[DB db:integer]",
            $between,
            "[CAPA capa]",
            $between,
            "[IP ip]",
            $between,
            "[NOT-ID not-client-id:integer...]",
            $between,
            "[NOT-TYPE (not-client-type=NORMAL|MASTER|REPLICA|PUBSUB)]",
            $between,
            "[NOT-USER not-username]",
            $between,
            "[NOT-ADDR not-addr:string:ip:port]",
            $between,
            "[NOT-LADDR not-laddr:string:ip:port]",
            $between,
            "[NOT-NAME not-name]",
            $between,
            "[NOT-FLAGS not-flags]",
            $between,
            "[NOT-LIB-NAME not-lib-name]",
            $between,
            "[NOT-LIB-VER not-lib-ver]",
            $between,
            "[NOT-DB not-db:integer]",
            $between,
            "[NOT-CAPA not-capa]",
            $between,
            "[NOT-IP not-ip]"
        )
    };
}

pub const COMMANDS: &[Command] = &[command(
    "client",
    -2,
    Connection,
    "2.4.0",
    "A container for client connection commands.",
    |_, _| {},
)
.flags(0)
.subcommands(&[
    command(
        "client|id",
        2,
        Connection,
        "5.0.0",
        "Returns the connection's id.",
        |context, _| {
            let id = context.session.id;
            context.reply.integer(id as i64);
        },
    )
    .flags(USUAL),
    command(
        "client|info",
        2,
        Connection,
        "6.2.0",
        "Describes the connection.",
        |context, arguments| {
            let mut condition = context.engine.condition_of(context.session, false);
            condition.argument_bytes = bytes_of(condition, arguments);
            let line = context.session.describe(context.now_ms, condition) + "\n";
            context.reply.verbatim(b"txt", line.as_bytes());
        },
    )
    .tips(&["nondeterministic_output"])
    .flags(USUAL),
    command(
        "client|setname",
        3,
        Connection,
        "2.6.9",
        "Sets the connection's name.",
        set_name,
    )
    .syntax("connection-name")
    .flags(USUAL),
    command(
        "client|getname",
        2,
        Connection,
        "2.6.9",
        "Returns the connection's name.",
        get_name,
    )
    .flags(USUAL),
    command(
        "client|list",
        -2,
        Connection,
        "2.4.0",
        "Lists open connections.",
        list,
    )
    .tips(&["nondeterministic_output"])
    .syntax(concat!(
        "[TYPE (client-type=NORMAL|MASTER|REPLICA|PUBSUB)] [ID client-id:integer...] ",
        filters!(" ")
    ))
    .flags(USUAL | ADMIN | DANGEROUS),
    command(
        "client|kill",
        -3,
        Connection,
        "2.4.0",
        "Terminates open connections.",
        kill,
    )
    .syntax(concat!(
        "(filter=old-format:string:ip:port|(new-format=[ID client-id:integer...]|",
        "[TYPE (client-type=NORMAL|MASTER|PRIMARY|SLAVE|REPLICA|PUBSUB)]|",
        filters!("|"),
        ")...)"
    ))
    .flags(USUAL | ADMIN | DANGEROUS),
    command(
        "client|setinfo",
        4,
        Connection,
        "7.2.0",
        "Sets the client library's name.",
        set_info,
    )
    .syntax("(attr=LIB-NAME libname|LIB-VER libver)")
    .flags(USUAL),
    command(
        "client|no-evict",
        3,
        Connection,
        "7.0.0",
        "Exempts the client from eviction.",
        no_evict,
    )
    .syntax("(enabled=ON|OFF)")
    .flags(USUAL | ADMIN | DANGEROUS),
    command(
        "client|reply",
        3,
        Connection,
        "3.2.0",
        "Turns replies on, off or skips one.",
        reply,
    )
    .syntax("(action=ON|OFF|SKIP)")
    .flags(USUAL),
    super::client_control::PAUSE,
    super::client_control::UNPAUSE,
    super::client_control::UNBLOCK,
    super::client_control::NO_TOUCH,
    super::client_control::CAPA,
    super::client_control::IMPORT_SOURCE,
    super::tracking::TRACKING,
    super::tracking::CACHING,
    super::tracking::GETREDIR,
    super::tracking::TRACKINGINFO,
    command(
        "client|help",
        2,
        Connection,
        "5.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE)
    .category("connection"),
])];

pub const INVALID_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters.";

/// Names are printable and without spaces, so that `CLIENT LIST` stays readable.
pub fn is_valid_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn set_name(context: &mut Context, arguments: &[&[u8]]) {
    if !is_valid_name(arguments[2]) {
        return context.reply.error(INVALID_NAME);
    }
    context.session.name = String::from_utf8_lossy(arguments[2]).into_owned();
    context.reply.ok();
}

fn get_name(context: &mut Context, _arguments: &[&[u8]]) {
    if context.session.name.is_empty() {
        return context.reply.null();
    }
    context.reply.bulk(context.session.name.as_bytes());
}

fn set_info(context: &mut Context, arguments: &[&[u8]]) {
    let (attribute, value) = (arguments[2].to_ascii_lowercase(), arguments[3]);
    let text = String::from_utf8_lossy(value).into_owned();
    let shown = match attribute.as_slice() {
        b"lib-name" => "lib-name",
        b"lib-ver" => "lib-ver",
        _ => {
            let failure = Failure::quoting("ERR Unrecognized option '", arguments[2], "'");
            return context.answer(Err(failure));
        }
    };
    if !is_valid_name(value) {
        return context.reply.error(&format!(
            "ERR {shown} cannot contain spaces, newlines or special characters."
        ));
    }
    match shown {
        "lib-name" => context.session.library_name = text,
        _ => context.session.library_version = text,
    }
    context.reply.ok();
}

fn no_evict(context: &mut Context, arguments: &[&[u8]]) {
    match arguments[2].to_ascii_lowercase().as_slice() {
        b"on" => context.session.no_evict = true,
        b"off" => context.session.no_evict = false,
        _ => return context.reply.error(SYNTAX),
    }
    context.reply.ok();
}

fn reply(context: &mut Context, arguments: &[&[u8]]) {
    match arguments[2].to_ascii_lowercase().as_slice() {
        b"on" => {
            context.session.reply_mode = ReplyMode::On;
            context.reply.ok();
        }
        b"off" => context.session.reply_mode = ReplyMode::Off,
        b"skip" if context.session.reply_mode == ReplyMode::Off => {}
        b"skip" => context.session.reply_mode = ReplyMode::SkipNext,
        _ => context.reply.error(SYNTAX),
    }
}

/// Of the arguments of the session's own request.
fn bytes_of(condition: Condition, arguments: &[&[u8]]) -> usize {
    if condition.executing.is_some() {
        return b"EXEC".len();
    }
    arguments.iter().map(|argument| argument.len()).sum()
}

fn list(context: &mut Context, arguments: &[&[u8]]) {
    let filter = Filter::parse(&arguments[2..], Filtered::List, &context.engine.acl);
    let filter = match filter {
        Ok(filter) => filter,
        Err(failure) => return context.answer(Err(failure)),
    };
    let now_ms = context.now_ms;
    let mut lines = Vec::new();
    let engine = &context.engine;
    let others = engine.sessions.iter();
    let others =
        others.map(|(id, session)| (session, engine.is_blocked(id), engine.waiting_bytes(id)));
    let condition = engine.condition_of(context.session, false);
    let own = (&*context.session, false, bytes_of(condition, arguments));
    let own = (!filter.spare_myself).then_some(own);
    for (session, blocked, argument_bytes) in others.chain(own) {
        let mut condition = engine.condition_of(session, blocked);
        if filter.matches(session, condition, now_ms) && !session.evicted {
            condition.argument_bytes = argument_bytes;
            lines.push((session.id, session.describe(now_ms, condition)));
        }
    }
    lines.sort_unstable_by_key(|(id, _)| *id);
    let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
    context.reply.verbatim(b"txt", text.as_bytes());
}

fn kill(context: &mut Context, arguments: &[&[u8]]) {
    let old_style = arguments.len() == 3;
    let filter = if old_style {
        Ok(Filter::of_address(arguments[2]))
    } else {
        Filter::parse(&arguments[2..], Filtered::Kill, &context.engine.acl)
    };
    let filter = match filter {
        Ok(filter) => filter,
        Err(failure) => return context.answer(Err(failure)),
    };
    let now_ms = context.now_ms;
    let engine = &context.engine;
    let matches = |session: &Session, blocked: bool| {
        filter.matches(session, engine.condition_of(session, blocked), now_ms)
    };
    let victims: Vec<SessionId> = engine
        .sessions
        .iter()
        .filter(|(id, session)| matches(session, engine.is_blocked(*id)))
        .map(|(id, _)| id)
        .collect();
    let suicide = !filter.spare_myself && matches(context.session, false);
    let count = victims.len() + usize::from(suicide);
    context.engine.kills.extend(victims);
    match (old_style, count) {
        (true, 0) => context.reply.error("ERR No such client"),
        (true, _) => context.reply.ok(),
        (false, count) => context.reply.integer(count as i64),
    }
    if suicide {
        context.outcome = Outcome::Close;
    }
}
