//! ACL: users, their rules, and what was denied.

use super::Group::Server;
use super::flag::{ADMIN, DANGEROUS, LOADING, NO_SCRIPT, STALE};
use super::{Command, CommandTable, answers, command, help};
use crate::acl::categories::{CATEGORIES, category, commands_in};
use crate::acl::file::{self, Request};
use crate::acl::rules::{has_spaces, merge_selectors};
use crate::acl::selector::Selector;
use crate::execute::context::Failure;
use crate::execute::{Context, Outcome};
use protocol::admin::SYSTEM_USER;
use protocol::resp::parse_i64;

const USUAL: u32 = NO_SCRIPT | LOADING | STALE;
const BY_ADMIN: u32 = USUAL | ADMIN | DANGEROUS;

pub const COMMANDS: &[Command] = &[command(
    "acl",
    -2,
    Server,
    "6.0.0",
    "A container for commands on users and their permissions.",
    |_, _| {},
)
.flags(0)
.subcommands(&[
    command(
        "acl|cat",
        -2,
        Server,
        "6.0.0",
        "Lists the categories of commands, or the commands of one.",
        answers!(cat),
    )
    .syntax("[category]")
    .flags(USUAL),
    command(
        "acl|deluser",
        -3,
        Server,
        "6.0.0",
        "Deletes users and disconnects their clients.",
        answers!(delete),
    )
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .syntax("username...")
    .flags(BY_ADMIN),
    command(
        "acl|dryrun",
        -4,
        Server,
        "7.0.0",
        "Tells whether a user may call a command, without calling it.",
        answers!(dry_run),
    )
    .syntax("username command [arg...]")
    .flags(BY_ADMIN),
    command(
        "acl|genpass",
        -2,
        Server,
        "6.0.0",
        "Makes up a password that nobody guesses.",
        answers!(generate),
    )
    .syntax("[bits:integer]")
    .flags(USUAL),
    command(
        "acl|getuser",
        3,
        Server,
        "6.0.0",
        "Returns the rules of a user.",
        get_user,
    )
    .syntax("username")
    .flags(BY_ADMIN),
    command(
        "acl|list",
        2,
        Server,
        "6.0.0",
        "Lists the users as lines of an ACL file.",
        list,
    )
    .flags(BY_ADMIN),
    command(
        "acl|load",
        2,
        Server,
        "6.0.0",
        "Reads the users from the ACL file.",
        answers!(load),
    )
    .flags(BY_ADMIN),
    command(
        "acl|log",
        -2,
        Server,
        "6.0.0",
        "Lists what was denied lately.",
        answers!(log),
    )
    .syntax("[operation=count|RESET]")
    .flags(BY_ADMIN),
    command(
        "acl|save",
        2,
        Server,
        "6.0.0",
        "Writes the users to the ACL file.",
        answers!(save),
    )
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .flags(BY_ADMIN),
    command(
        "acl|setuser",
        -3,
        Server,
        "6.0.0",
        "Creates a user, or gives one further rules.",
        answers!(set_user),
    )
    .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
    .syntax("username [rule...]")
    .flags(BY_ADMIN),
    command(
        "acl|users",
        2,
        Server,
        "6.0.0",
        "Lists the names of the users.",
        users,
    )
    .flags(BY_ADMIN),
    command(
        "acl|whoami",
        2,
        Server,
        "6.0.0",
        "Returns the name of the connection's user.",
        |context, _| {
            let user = std::rc::Rc::clone(&context.session.user);
            context.reply.bulk(&user.name);
        },
    )
    .flags(USUAL),
    command(
        "acl|help",
        2,
        Server,
        "6.0.0",
        "Lists the subcommands.",
        help,
    )
    .flags(LOADING | STALE),
])];

/// The system user is the operator's; no rule may take its rights.
fn is_reserved(name: &[u8]) -> bool {
    name == SYSTEM_USER.as_bytes()
}

fn set_user(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let name = arguments[2];
    if has_spaces(name) {
        return Err("ERR Usernames can't contain spaces or null characters".into());
    }
    if is_reserved(name) {
        return Err(Failure::quoting(
            "ERR The '",
            name,
            "' user cannot be changed",
        ));
    }
    let rules = merge_selectors(&arguments[3..]).map_err(|rule| {
        let before = "ERR Unmatched parenthesis in acl selector starting at '";
        Failure::quoting(before, rule, "'.")
    })?;
    let all_channels = context.engine.config.acl_all_channels;
    let changed = context.engine.acl.changed(name, &rules, all_channels);
    let user = changed.map_err(|(rule, error)| {
        let before = "ERR Error in ACL SETUSER modifier '";
        Failure::quoting(before, rule, &format!("': {error}"))
    })?;
    if context.may_change_users() {
        context.put_user(user);
        context.reply.ok();
    }
    Ok(())
}

fn delete(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    if arguments[2..].contains(&crate::acl::DEFAULT_USER) {
        return Err("ERR The 'default' user cannot be removed".into());
    }
    if context.may_change_users() {
        let names = arguments[2..].iter();
        let deleted = names.filter(|name| context.remove_user(name)).count();
        context.reply.integer(deleted as i64);
    }
    Ok(())
}

fn get_user(context: &mut Context, arguments: &[&[u8]]) {
    let user = context.engine.acl.user(arguments[2]).cloned();
    let reply = &mut context.reply;
    let Some(user) = user else {
        return reply.null();
    };
    reply.map(6);
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    for flag in flags {
        reply.bulk(flag.as_bytes());
    }
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    for hash in user.passwords() {
        reply.bulk(hash.as_bytes());
    }
    describe(context, &user.root);
    context.reply.bulk(b"selectors");
    context.reply.array(user.selectors.len());
    for selector in &user.selectors {
        context.reply.map(3);
        describe(context, selector);
    }
}

/// Three fields of a map.
fn describe(context: &mut Context, selector: &Selector) {
    let fields = [
        (&b"commands"[..], selector.describe_commands()),
        (b"keys", selector.describe_keys()),
        (b"channels", selector.describe_channels()),
    ];
    for (name, value) in fields {
        context.reply.bulk(name);
        context.reply.bulk(&value);
    }
}

fn list(context: &mut Context, _arguments: &[&[u8]]) {
    let text = file::write(&context.engine.acl);
    let lines: Vec<&[u8]> = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    context.reply.array(lines.len());
    for line in lines {
        context.reply.bulk(line);
    }
}

fn users(context: &mut Context, _arguments: &[&[u8]]) {
    let users = context.engine.acl.users();
    context.reply.array(users.len());
    for user in users {
        context.reply.bulk(&user.name);
    }
}

fn cat(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    match arguments {
        [_, _] => {
            context.reply.array(CATEGORIES.len());
            for name in CATEGORIES {
                context.reply.bulk(name.as_bytes());
            }
        }
        [_, _, name] => {
            let before = "ERR Unknown category '";
            let category = category(name).ok_or_else(|| Failure::quoting(before, name, "'"))?;
            let names: Vec<&str> = commands_in(category)
                .filter(|row| row.is_callable())
                .map(|row| row.name)
                .collect();
            context.reply.array(names.len());
            for name in names {
                context.reply.bulk(name.as_bytes());
            }
        }
        _ => return Err(too_many(arguments)),
    }
    Ok(())
}

/// What Redis says to a subcommand with too many arguments.
fn too_many(arguments: &[&[u8]]) -> Failure {
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    Failure::quoting(before, arguments[1], "'. Try ACL HELP.")
}

fn generate(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let bits = match arguments {
        [_, _] => 256,
        [_, _, bits] => {
            let bits = parse_i64(bits).ok_or("ERR value is not an integer or out of range")?;
            let bits = usize::try_from(bits).unwrap_or(0);
            if !(1..=4096).contains(&bits) {
                return Err(
                    "ERR ACL GENPASS argument must be the number of bits for the output password, \
                     a positive number up to 4096"
                        .into(),
                );
            }
            bits
        }
        _ => return Err(too_many(arguments)),
    };
    let password = context.engine.acl.generate_password(bits);
    context.reply.bulk(password.as_bytes());
    Ok(())
}

fn dry_run(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let (name, call) = (arguments[2], &arguments[3..]);
    let user = context.engine.acl.user(name).cloned();
    let user = user.ok_or_else(|| Failure::quoting("ERR User '", name, "' not found"))?;
    let command = CommandTable.find(call).ok_or_else(|| {
        let before = "ERR Command '";
        Failure::quoting(before, call[0], "' not found")
    })?;
    if !command.accepts(call.len()) {
        let name = command.full_name();
        return Err(format!("ERR wrong number of arguments for '{name}' command").into());
    }
    match user.permits(command, call) {
        Ok(()) => context.reply.ok(),
        Err(denial) => context.reply.bulk(&denial.details(&user, command, call)),
    }
    Ok(())
}

fn log(context: &mut Context, arguments: &[&[u8]]) -> Result<(), Failure> {
    let count = match arguments {
        [_, _] => 10,
        [_, _, word] if word.eq_ignore_ascii_case(b"RESET") => {
            context.engine.acl.log.clear();
            context.reply.ok();
            return Ok(());
        }
        [_, _, count] => {
            let count = parse_i64(count).ok_or("ERR value is not an integer or out of range")?;
            usize::try_from(count).unwrap_or(0)
        }
        _ => return Err(too_many(arguments)),
    };
    let now_ms = context.now_ms;
    let entries = context.engine.acl.log.iter();
    let reply = &mut context.reply;
    reply.array(entries.len().min(count));
    for entry in entries.take(count) {
        reply.map(10);
        reply.bulk(b"count");
        reply.integer(entry.count as i64);
        let age_ms = now_ms.saturating_sub(entry.updated_ms);
        let texts: [(&str, &[u8]); 4] = [
            ("reason", entry.reason.as_bytes()),
            ("context", entry.place.name().as_bytes()),
            ("object", &entry.object),
            ("username", &entry.user),
        ];
        for (name, value) in texts {
            reply.bulk(name.as_bytes());
            reply.bulk(value);
        }
        reply.bulk(b"age-seconds");
        reply.double(age_ms as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(entry.client.as_bytes());
        let numbers = [
            ("entry-id", entry.id),
            ("timestamp-created", entry.created_ms),
            ("timestamp-last-updated", entry.updated_ms),
        ];
        for (name, value) in numbers {
            reply.bulk(name.as_bytes());
            reply.integer(value as i64);
        }
    }
    Ok(())
}

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want \
                       to specify users via the ACL SETUSER command and then issue a CONFIG \
                       REWRITE (assuming you have a Redis configuration file set) in order to \
                       store users in the Redis configuration.";

fn load(context: &mut Context, _arguments: &[&[u8]]) -> Result<(), Failure> {
    if context.engine.config.acl_file.is_empty() {
        return Err(NO_FILE.into());
    }
    if context.may_change_users() {
        context.outcome = Outcome::AclFile(Request::Load);
    }
    Ok(())
}

fn save(context: &mut Context, _arguments: &[&[u8]]) -> Result<(), Failure> {
    if context.engine.config.acl_file.is_empty() {
        return Err(NO_FILE.into());
    }
    let text = file::write(&context.engine.acl);
    context.outcome = Outcome::AclFile(Request::Save(text));
    Ok(())
}
