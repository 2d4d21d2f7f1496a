//! CLIENT: ID, INFO, SETNAME, GETNAME, LIST, KILL, SETINFO, NO-EVICT, REPLY.

use super::Group::Connection;
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_SCRIPT, STALE};
use super::{Command, command, help};
use crate::acl::Acl;
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::session::{Class, ReplyMode, Session, SessionId};
use crate::execute::{Context, Outcome};
use protocol::resp::parse_i64;

pub const USUAL: u32 = NO_SCRIPT | LOADING | STALE;

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
        |context, _| {
            let condition = context.engine.condition_of(context.session, false);
            let line = context.session.describe(context.now_ms, condition) + "\n";
            context.reply.verbatim("txt", line.as_bytes());
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
    .syntax("[TYPE (client-type=NORMAL|MASTER|REPLICA|PUBSUB)] [ID (id=client-id:integer...)]")
    .flags(USUAL | ADMIN | DANGEROUS),
    command(
        "client|kill",
        -3,
        Connection,
        "2.4.0",
        "Terminates open connections.",
        kill,
    )
    .syntax(
        "(filter=old-format|(new-format=[ID client-id:integer]|\
         [TYPE (client-type=NORMAL|MASTER|SLAVE|REPLICA|PUBSUB)]|\
     [USER username]|[ADDR addr]|[LADDR laddr]|[SKIPME (skipme=YES|NO)])...)",
    )
    .flags(USUAL | ADMIN | DANGEROUS),
    command(
        "client|setinfo",
        4,
        Connection,
        "7.2.0",
        "Sets the client library's name.",
        set_info,
    )
    .syntax("attribute value")
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

/// Which connections `LIST` and `KILL` mean.
#[derive(Default)]
struct Filter {
    ids: Option<Vec<u64>>,
    address: Option<String>,
    local_address: Option<String>,
    user: Option<String>,
    kind: Option<String>,
    /// At least so old.
    age_seconds: Option<u64>,
    spare_myself: bool,
}

impl Filter {
    fn matches(&self, session: &Session, now_ms: u64) -> bool {
        let same =
            |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|want| want == is);
        let kind = match session.class() {
            Class::Normal => "normal",
            Class::PubSub => "pubsub",
            Class::Replica => "replica",
        };
        let age_seconds = now_ms.saturating_sub(session.created_ms) / 1000;
        self.ids
            .as_ref()
            .is_none_or(|ids| ids.contains(&session.id))
            && same(&self.address, &session.address)
            && same(&self.local_address, &session.local_address)
            && same(&self.user, &session.user.shown())
            && same(&self.kind, kind)
            && self.age_seconds.is_none_or(|least| age_seconds >= least)
    }
}

const TYPES: [&str; 5] = ["normal", "master", "slave", "replica", "pubsub"];

fn parse_kind(word: &[u8]) -> Result<String, Failure> {
    let kind = String::from_utf8_lossy(word).to_ascii_lowercase();
    if !TYPES.contains(&kind.as_str()) {
        return Err(Failure::quoting("ERR Unknown client type '", word, "'"));
    }
    if kind == "slave" {
        return Ok("replica".to_owned());
    }
    Ok(kind)
}

fn list(context: &mut Context, arguments: &[&[u8]]) {
    let mut filter = Filter::default();
    match &arguments[2..] {
        [] => {}
        [word, kind] if word.eq_ignore_ascii_case(b"type") => match parse_kind(kind) {
            Ok(kind) => filter.kind = Some(kind),
            Err(failure) => return context.answer(Err(failure)),
        },
        [word, ids @ ..] if word.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            let ids: Option<Vec<u64>> = ids
                .iter()
                .map(|id| {
                    // Ids of nobody are no error.
                    parse_i64(id).map(|id| u64::try_from(id).unwrap_or(0))
                })
                .collect();
            let Some(ids) = ids else {
                return context.reply.error("ERR Invalid client ID");
            };
            filter.ids = Some(ids);
        }
        _ => return context.reply.error(SYNTAX),
    }
    let now_ms = context.now_ms;
    let mut lines = Vec::new();
    let engine = &context.engine;
    let others = engine.sessions.iter();
    let others = others.map(|(id, session)| (session, engine.is_blocked(id)));
    for (session, blocked) in others.chain([(&*context.session, false)]) {
        if filter.matches(session, now_ms) && !session.evicted {
            let condition = engine.condition_of(session, blocked);
            lines.push((session.id, session.describe(now_ms, condition)));
        }
    }
    lines.sort_unstable_by_key(|(id, _)| *id);
    let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
    context.reply.verbatim("txt", text.as_bytes());
}

fn kill(context: &mut Context, arguments: &[&[u8]]) {
    let old_style = arguments.len() == 3;
    let filter = if old_style {
        let address = Some(String::from_utf8_lossy(arguments[2]).into_owned());
        Ok(Filter {
            address,
            ..Filter::default()
        })
    } else {
        parse_kill(&arguments[2..], &context.engine.acl)
    };
    let filter = match filter {
        Ok(filter) => filter,
        Err(failure) => return context.answer(Err(failure)),
    };
    let now_ms = context.now_ms;
    let matching =
        |(id, session): (SessionId, &Session)| filter.matches(session, now_ms).then_some(id);
    let victims: Vec<SessionId> = context
        .engine
        .sessions
        .iter()
        .filter_map(matching)
        .collect();
    let spare = filter.spare_myself && !old_style;
    let suicide = !spare && filter.matches(context.session, now_ms);
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

fn parse_kill(options: &[&[u8]], acl: &Acl) -> Result<Filter, Failure> {
    let mut filter = Filter {
        spare_myself: true,
        ..Filter::default()
    };
    for pair in options.chunks(2) {
        if pair.len() < 2 {
            return Err(SYNTAX.into());
        }
        let text = String::from_utf8_lossy(pair[1]).into_owned();
        match pair[0].to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = parse_i64(pair[1]).and_then(|id| u64::try_from(id).ok());
                let id = id.filter(|&id| id > 0);
                filter.ids = Some(vec![id.ok_or("ERR client-id should be greater than 0")?]);
            }
            b"maxage" => {
                let age =
                    parse_i64(pair[1]).ok_or("ERR maxage is not an integer or out of range")?;
                let age = u64::try_from(age).ok().filter(|&age| age > 0);
                filter.age_seconds = Some(age.ok_or("ERR maxage should be greater than 0")?);
            }
            b"type" => filter.kind = Some(parse_kind(pair[1])?),
            b"addr" => filter.address = Some(text),
            b"laddr" => filter.local_address = Some(text),
            b"user" if acl.user(pair[1]).is_some() => filter.user = Some(text),
            b"user" => return Err(Failure::quoting("ERR No such user '", pair[1], "'")),
            b"skipme" => match text.to_ascii_lowercase().as_str() {
                "yes" => filter.spare_myself = true,
                "no" => filter.spare_myself = false,
                _ => return Err(SYNTAX.into()),
            },
            _ => return Err(SYNTAX.into()),
        }
    }
    Ok(filter)
}
