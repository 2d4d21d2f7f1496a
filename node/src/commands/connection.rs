//! Connection commands: PING, ECHO, HELLO, AUTH, SELECT, QUIT, RESET.

use super::Group::Connection;
use super::flag::{ALLOW_BUSY, FAST, IN_MULTI_AT_ONCE, LOADING, NO_AUTH, NO_SCRIPT, STALE};
use super::{Command, command};
use crate::execute::context::Failure;
use crate::execute::session::ReplyMode;
use crate::execute::{Context, Outcome};
use protocol::admin::SYSTEM_USER;
use protocol::resp::{Protocol, parse_i64};
use protocol::status::Role;

pub const COMMANDS: &[Command] = &[
    command(
        "ping",
        -1,
        Connection,
        "1.0.0",
        "Returns the server's liveliness response.",
        ping,
    )
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
    .syntax("[message]")
    .flags(FAST),
    command(
        "echo",
        2,
        Connection,
        "1.0.0",
        "Returns the given string.",
        |context, arguments| {
            context.reply.bulk(arguments[1]);
        },
    )
    .syntax("message")
    .flags(FAST | LOADING | STALE),
    command(
        "hello",
        -1,
        Connection,
        "6.0.0",
        "Handshakes with the server.",
        hello,
    )
    .syntax("[arguments=protover [AUTH (username password)] [SETNAME clientname]]")
    .flags(FAST | LOADING | STALE | NO_AUTH | NO_SCRIPT | ALLOW_BUSY),
    command(
        "auth",
        -2,
        Connection,
        "1.0.0",
        "Authenticates the connection.",
        auth,
    )
    .syntax("[username] password")
    .flags(FAST | LOADING | STALE | NO_AUTH | NO_SCRIPT | ALLOW_BUSY),
    command(
        "select",
        2,
        Connection,
        "1.0.0",
        "Changes the selected database.",
        select,
    )
    .partial("there is one database: 0")
    .syntax("index")
    .flags(FAST | LOADING | STALE),
    command(
        "quit",
        -1,
        Connection,
        "1.0.0",
        "Closes the connection.",
        |context, _| {
            context.reply.ok();
            context.outcome = Outcome::Close;
        },
    )
    .flags(FAST | LOADING | STALE | NO_AUTH | NO_SCRIPT | IN_MULTI_AT_ONCE | ALLOW_BUSY),
    command(
        "reset",
        1,
        Connection,
        "6.2.0",
        "Resets the connection.",
        reset,
    )
    .flags(FAST | LOADING | STALE | NO_AUTH | NO_SCRIPT | IN_MULTI_AT_ONCE | ALLOW_BUSY),
];

fn ping(context: &mut Context, arguments: &[&[u8]]) {
    let listens = context.session.listens() && context.session.protocol == Protocol::Resp2;
    match arguments {
        [_, ..] if listens && arguments.len() <= 2 => {
            context.reply.array(2);
            context.reply.bulk(b"pong");
            context.reply.bulk(arguments.get(1).unwrap_or(&&b""[..]));
        }
        [_] => context.reply.simple("PONG"),
        [_, message] => context.reply.bulk(message),
        _ => context
            .reply
            .error("ERR wrong number of arguments for 'ping' command"),
    }
}

fn select(context: &mut Context, arguments: &[&[u8]]) {
    match parse_i64(arguments[1]) {
        None => context
            .reply
            .error("ERR value is not an integer or out of range"),
        Some(index) if i32::try_from(index).is_err() => context
            .reply
            .error("ERR value is out of range, value must between -2147483648 and 2147483647"),
        Some(0) => context.reply.ok(),
        Some(_) if context.engine.view.is_cluster() => {
            context
                .reply
                .error("ERR SELECT is not allowed in cluster mode");
        }
        Some(_) => context.reply.error("ERR DB index is out of range"),
    }
}

fn reset(context: &mut Context, _arguments: &[&[u8]]) {
    context.discard_transaction();
    context.forget_subscriptions();
    context.forget_tracking();
    context.forget_monitor();
    let required = context.engine.requires_password();
    let default = context.engine.acl.default_user();
    let system = !required && context.engine.system_password.is_none();
    let session = &mut *context.session;
    session.protocol = Protocol::Resp2;
    session.read_only = false;
    session.no_evict = false;
    session.no_touch = false;
    session.name.clear();
    session.reply_mode = ReplyMode::On;
    session.authenticated = !required;
    session.user = default;
    session.system = system;
    context.reply.set_protocol(Protocol::Resp2);
    context.reply.simple("RESET");
}

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

fn auth(context: &mut Context, arguments: &[&[u8]]) {
    let (user, password): (&[u8], &[u8]) = match arguments {
        [_, password] => (b"default", password),
        [_, user, password] => (user, password),
        _ => return context.reply.error("ERR syntax error"),
    };
    if arguments.len() == 2 && context.engine.acl.default_user().nopass {
        return context.reply.error(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        );
    }
    if context.authenticate(arguments[0], user, password) {
        context.reply.ok();
    } else {
        context.reply.error(context.why_not_authenticated());
    }
}

impl Context<'_> {
    /// Users are data: while they are being loaded nobody knows who is missing.
    fn why_not_authenticated(&self) -> &'static str {
        if self.engine.view.role == Role::Loading {
            "LOADING Redis is loading the dataset in memory"
        } else {
            WRONG_PASSWORD
        }
    }

    /// Makes the session the user's if the password is right. `word` is the command's, as given.
    fn authenticate(&mut self, word: &[u8], user: &[u8], password: &[u8]) -> bool {
        let Some(found) = self.engine.user_with_password(user, password) else {
            self.engine
                .note_failed_login(self.session, word, user, self.now_ms);
            return false;
        };
        let system = found.name == SYSTEM_USER.as_bytes();
        self.session.authenticated = true;
        self.session.user = found;
        self.session.system = system || self.engine.system_password.is_none();
        true
    }
}

fn hello(context: &mut Context, arguments: &[&[u8]]) {
    let mut protocol = context.session.protocol;
    if let Some(version) = arguments.get(1) {
        protocol = match parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return context.reply.error("NOPROTO unsupported protocol version"),
            None => {
                return context
                    .reply
                    .error("ERR Protocol version is not an integer or out of range");
            }
        };
    }
    let mut name = None;
    // Of several, the last ones hold.
    let mut credentials = None;
    let mut rest = arguments.get(2..).unwrap_or_default();
    loop {
        match rest {
            [] => break,
            [word, user, password, after @ ..] if word.eq_ignore_ascii_case(b"AUTH") => {
                credentials = Some((user, password));
                rest = after;
            }
            [word, given, after @ ..] if word.eq_ignore_ascii_case(b"SETNAME") => {
                if !super::client::is_valid_name(given) {
                    return context.reply.error(super::client::INVALID_NAME);
                }
                name = Some(String::from_utf8_lossy(given).into_owned());
                rest = after;
            }
            [word, ..] => {
                let before = "ERR Syntax error in HELLO option '";
                return context.answer(Err(Failure::quoting(before, word, "'")));
            }
        }
    }
    if let Some((user, password)) = credentials
        && !context.authenticate(arguments[0], user, password)
    {
        return context.reply.error(context.why_not_authenticated());
    }
    if !context.session.authenticated {
        return context.reply.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    if let Some(name) = name {
        context.session.name = name;
    }
    context.session.protocol = protocol;
    context.reply.set_protocol(protocol);
    describe_server(context, protocol);
}

fn describe_server(context: &mut Context, protocol: Protocol) {
    let cluster = context.engine.view.is_cluster();
    let replica = context.engine.view.role == Role::Replica;
    let id = context.session.id;
    let zone = context.engine.config.availability_zone();
    let reply = &mut context.reply;
    reply.map(7 + usize::from(!zone.is_empty()));
    for (field, value) in [("server", "redis"), ("version", super::info::REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(id as i64);
    reply.bulk(b"mode");
    reply.bulk(if cluster { b"cluster" } else { b"standalone" });
    reply.bulk(b"role");
    reply.bulk(if replica { b"replica" } else { b"master" });
    reply.bulk(b"modules");
    reply.array(0);
    if !zone.is_empty() {
        reply.bulk(b"availability_zone");
        reply.bulk(zone.as_bytes());
    }
}
