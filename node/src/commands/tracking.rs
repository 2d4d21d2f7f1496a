//! Client-side caching: CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO.

use super::Group::Connection;
use super::client::USUAL;
use super::{Command, answers, command};
use crate::execute::Context;
use crate::execute::context::{Failure, SYNTAX, integer};
use crate::execute::tracking::{Mode, Tracking};
use std::rc::Rc;

pub const TRACKING: Command = command(
    "client|tracking",
    -3,
    Connection,
    "6.0.0",
    "Turns on or off that the client is told when keys change that it has read.",
    answers!(tracking),
)
.syntax(
    "(status=ON|OFF) [REDIRECT client-id:integer] [PREFIX prefix]... [BCAST] [OPTIN] [OPTOUT] \
     [NOLOOP]",
)
.flags(USUAL);

pub const CACHING: Command = command(
    "client|caching",
    3,
    Connection,
    "6.0.0",
    "Says whether what the next command reads is remembered.",
    answers!(caching),
)
.syntax("(mode=YES|NO)")
.flags(USUAL);

pub const GETREDIR: Command = command(
    "client|getredir",
    2,
    Connection,
    "6.0.0",
    "Returns the client that is told of changes in this one's place.",
    |context, _| {
        let redirect = redirection(context);
        context.reply.integer(redirect);
    },
)
.flags(USUAL);

pub const TRACKINGINFO: Command = command(
    "client|trackinginfo",
    2,
    Connection,
    "6.2.0",
    "Describes how the client is told of changes of keys.",
    info,
)
.flags(USUAL);

/// The client that is told, 0 for this one, -1 for nobody.
fn redirection(context: &Context) -> i64 {
    let own = context.session.tracking.as_ref();
    own.map_or(-1, |own| own.redirect.unwrap_or(0) as i64)
}

#[derive(Default)]
struct Options {
    wanted: Tracking,
    opt_in: bool,
    opt_out: bool,
    broadcast: bool,
    prefixes: Vec<Rc<[u8]>>,
}

impl Options {
    fn parse(context: &Context, words: &[&[u8]]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let rest = words.as_slice();
            match (word.to_ascii_lowercase().as_slice(), rest.first()) {
                (b"redirect", Some(id)) => {
                    options.redirect(context, id)?;
                    words.next();
                }
                (b"prefix", Some(prefix)) => {
                    options.prefixes.push((*prefix).into());
                    words.next();
                }
                (b"bcast", _) => options.broadcast = true,
                (b"optin", _) => options.opt_in = true,
                (b"optout", _) => options.opt_out = true,
                (b"noloop", _) => options.wanted.noloop = true,
                _ => return Err(SYNTAX.into()),
            }
        }
        Ok(options)
    }

    fn redirect(&mut self, context: &Context, id: &[u8]) -> Result<(), Failure> {
        if self.wanted.redirect.is_some() {
            return Err("ERR A client can only redirect to a single other client".into());
        }
        let client = u64::try_from(integer(id)?).unwrap_or(0);
        if context.engine.session_of(client).is_none() {
            return Err("ERR The client ID you want redirect to does not exist".into());
        }
        self.wanted.redirect = Some(client);
        Ok(())
    }

    /// Checks them against each other and against how the session tracks already.
    fn complete(mut self, old: Option<&Tracking>) -> Result<Tracking, Failure> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err("ERR PREFIX option requires BCAST mode to be enabled".into());
        }
        if old.is_some_and(|old| (old.mode == Mode::Broadcast) != self.broadcast) {
            return Err(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this \
                 client, and then re-enabling it with a different mode."
                    .into(),
            );
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err("ERR OPTIN and OPTOUT are not compatible with BCAST".into());
        }
        if self.opt_in && self.opt_out {
            return Err("ERR You can't specify both OPTIN mode and OPTOUT mode".into());
        }
        let old_mode = old.map(|old| old.mode);
        if (self.opt_in && old_mode == Some(Mode::OptOut))
            || (self.opt_out && old_mode == Some(Mode::OptIn))
        {
            return Err(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this \
                 client, and then re-enabling it with a different mode."
                    .into(),
            );
        }
        if self.broadcast {
            self.check_prefixes(old)?;
            if self.prefixes.is_empty() {
                self.prefixes.push((*b"").into());
            }
        }
        self.wanted.mode = match (self.broadcast, self.opt_in, self.opt_out) {
            (true, ..) => Mode::Broadcast,
            (_, true, _) => Mode::OptIn,
            (_, _, true) => Mode::OptOut,
            _ => Mode::Always,
        };
        self.wanted.prefixes = self.prefixes.into_iter().collect();
        Ok(self.wanted)
    }

    /// A client is told of a key once: no prefix of its may begin with another.
    fn check_prefixes(&self, old: Option<&Tracking>) -> Result<(), Failure> {
        let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
        let failure = |one: &[u8], which: &str, other: &[u8]| {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let text = format!(
                "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client \
                 must not overlap.",
                shown(one),
                shown(other)
            );
            Err(Failure::from(text))
        };
        for (at, prefix) in self.prefixes.iter().enumerate() {
            let mut held = old.iter().flat_map(|old| &old.prefixes);
            if let Some(other) = held.find(|other| overlap(prefix, other)) {
                return failure(prefix, "an existing", other);
            }
            let mut later = self.prefixes[at + 1..].iter();
            if let Some(other) = later.find(|other| overlap(prefix, other)) {
                return failure(prefix, "another provided", other);
            }
        }
        Ok(())
    }
}

fn tracking(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let options = Options::parse(context, &arguments[3..])?;
    match arguments[2].to_ascii_lowercase().as_slice() {
        b"on" => {
            let wanted = options.complete(context.session.tracking.as_deref())?;
            context.track(wanted);
        }
        b"off" => context.forget_tracking(),
        _ => return Err(SYNTAX.into()),
    }
    context.reply.ok();
    Ok(())
}

fn caching(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let Some(own) = &mut context.session.tracking else {
        return Err(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled"
                .into(),
        );
    };
    match arguments[2].to_ascii_lowercase().as_slice() {
        b"yes" if own.mode != Mode::OptIn => {
            return Err(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
                    .into(),
            );
        }
        b"no" if own.mode != Mode::OptOut => {
            return Err(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
                    .into(),
            );
        }
        b"yes" | b"no" => own.caching = true,
        _ => return Err(SYNTAX.into()),
    }
    context.reply.ok();
    Ok(())
}

fn info(context: &mut Context, _arguments: &[&[u8]]) {
    let redirect = redirection(context);
    let mut flags: Vec<&str> = Vec::new();
    let mut prefixes: Vec<&[u8]> = Vec::new();
    if let Some(own) = &context.session.tracking {
        flags.push("on");
        match (own.mode, own.caching) {
            (Mode::Always, _) => {}
            (Mode::Broadcast, _) => flags.push("bcast"),
            (Mode::OptIn, false) => flags.push("optin"),
            (Mode::OptIn, true) => flags.extend(["optin", "caching-yes"]),
            (Mode::OptOut, false) => flags.push("optout"),
            (Mode::OptOut, true) => flags.extend(["optout", "caching-no"]),
        }
        flags.extend(own.noloop.then_some("noloop"));
        flags.extend(own.broken.then_some("broken_redirect"));
        prefixes.extend(own.prefixes.iter().map(|prefix| &**prefix));
    } else {
        flags.push("off");
    }
    let reply = &mut context.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    for name in flags {
        reply.bulk(name.as_bytes());
    }
    reply.bulk(b"redirect");
    reply.integer(redirect);
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    for prefix in prefixes {
        reply.bulk(prefix);
    }
}
