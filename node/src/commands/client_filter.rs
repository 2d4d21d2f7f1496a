//! Which connections `CLIENT LIST` and `CLIENT KILL` mean: Redis' filters, and those that Valkey
//! has since 9.0, each of which may be turned round with `NOT-`.

use crate::acl::Acl;
use crate::execute::context::{Failure, SYNTAX};
use crate::execute::session::{Class, Condition, Session};
use protocol::resp::parse_i64;

/// What a connection must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Ids(Vec<u64>),
    Address(String),
    LocalAddress(String),
    Host(String),
    User(String),
    Kind(String),
    Name(String),
    LibraryName(String),
    LibraryVersion(String),
    /// All of these letters.
    Flags(String),
    /// At least so old.
    AgeSeconds(u64),
    /// Idle for at least so long.
    IdleSeconds(u64),
    FollowsRedirects,
    /// There is one database, so everybody.
    Database,
}

/// Tests that all must be passed, each with whether it is turned round.
#[derive(Debug, Default)]
pub struct Filter {
    tests: Vec<(Test, bool)>,
    pub spare_myself: bool,
}

/// The two commands that have filters differ in what an id may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    List,
    Kill,
}

const KINDS: [&str; 6] = ["normal", "master", "primary", "slave", "replica", "pubsub"];

/// Letters that `CLIENT LIST` may show.
const FLAGS: &str = "OSMPxbtRBdcuAUreTIiEN";

impl Filter {
    pub fn of_address(address: &[u8]) -> Self {
        Self {
            tests: vec![(Test::Address(text(address)), false)],
            spare_myself: false,
        }
    }

    pub fn parse(words: &[&[u8]], command: Command, acl: &Acl) -> Result<Self, Failure> {
        let mut filter = Self {
            spare_myself: command == Command::Kill,
            ..Self::default()
        };
        let mut at = 0;
        while let Some(&word) = words.get(at) {
            let name = word.to_ascii_lowercase();
            let bare = name.strip_prefix(b"not-");
            let negated = bare.is_some();
            let name = bare.unwrap_or(&name);
            if name == b"id" {
                let ids = ids(&words[at + 1..], command, negated)?;
                at += 1 + ids.len();
                filter.add_ids(ids, negated);
                continue;
            }
            let value = *words.get(at + 1).ok_or(SYNTAX)?;
            if name == b"skipme" && !negated {
                filter.spare_myself = match value.to_ascii_lowercase().as_slice() {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(SYNTAX.into()),
                };
            } else {
                filter.set(test(name, value, negated, acl)?, negated);
            }
            at += 2;
        }
        Ok(filter)
    }

    /// The last one of a kind holds.
    fn set(&mut self, test: Test, negated: bool) {
        let same = |(other, turned): &(Test, bool)| {
            std::mem::discriminant(other) == std::mem::discriminant(&test) && *turned == negated
        };
        self.tests.retain(|other| !same(other));
        self.tests.push((test, negated));
    }

    fn add_ids(&mut self, ids: Vec<u64>, negated: bool) {
        for (test, turned) in &mut self.tests {
            if let Test::Ids(others) = test
                && *turned == negated
            {
                return others.extend(ids);
            }
        }
        self.tests.push((Test::Ids(ids), negated));
    }

    pub fn matches(&self, session: &Session, condition: Condition, now_ms: u64) -> bool {
        let passes = |test: &Test| test.is_passed(session, condition, now_ms);
        self.tests
            .iter()
            .all(|(test, negated)| passes(test) != *negated)
    }
}

impl Test {
    fn is_passed(&self, session: &Session, condition: Condition, now_ms: u64) -> bool {
        let seconds_since = |at_ms: u64| now_ms.saturating_sub(at_ms) / 1000;
        match self {
            Self::Ids(ids) => ids.contains(&session.id),
            Self::Address(address) => *address == session.address,
            Self::LocalAddress(address) => *address == session.local_address,
            Self::Host(host) => {
                let shown = session
                    .address
                    .rsplit_once(':')
                    .map_or("", |(host, _)| host);
                host == shown.trim_start_matches('[').trim_end_matches(']')
            }
            Self::User(name) => *name == session.user.shown(),
            Self::Kind(kind) => kind == kind_of(session),
            Self::Name(name) => *name == session.name,
            Self::LibraryName(name) => *name == session.library_name,
            Self::LibraryVersion(version) => *version == session.library_version,
            Self::Flags(wanted) => {
                let held = session.flags(condition);
                wanted.chars().all(|letter| held.contains(letter))
            }
            Self::AgeSeconds(least) => seconds_since(session.created_ms) >= *least,
            Self::IdleSeconds(least) => seconds_since(session.last_used_ms) >= *least,
            Self::FollowsRedirects => session.follows_redirects,
            Self::Database => true,
        }
    }
}

fn kind_of(session: &Session) -> &'static str {
    match session.class() {
        Class::Normal => "normal",
        Class::PubSub => "pubsub",
        Class::Replica => "replica",
    }
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// The names of the filters.
const NAMES: [&str; 15] = [
    "id", "type", "addr", "laddr", "ip", "user", "name", "lib-name", "lib-ver", "maxage", "idle",
    "flags", "capa", "db", "skipme",
];

fn is_name(word: &[u8]) -> bool {
    let word = word.to_ascii_lowercase();
    let bare = word.strip_prefix(b"not-").unwrap_or(&word);
    NAMES.iter().any(|name| name.as_bytes() == bare)
}

/// The ids from there on. `LIST ID` takes ids of nobody.
fn ids(words: &[&[u8]], command: Command, negated: bool) -> Result<Vec<u64>, Failure> {
    const GREATER: &str = "ERR client-id should be greater than 0";
    let any = command == Command::List && !negated;
    let first = *words.first().ok_or(SYNTAX)?;
    if parse_i64(first).is_none() {
        return Err(match command {
            _ if negated => SYNTAX.into(),
            Command::List => "ERR Invalid client ID".into(),
            Command::Kill => GREATER.into(),
        });
    }
    let numbers = words.iter().map_while(|word| parse_i64(word));
    let next = words.get(numbers.clone().count());
    if any && next.is_some_and(|word| !is_name(word)) {
        return Err("ERR Invalid client ID".into());
    }
    numbers
        .map(|id| match u64::try_from(id) {
            Ok(id) if any || id > 0 => Ok(id),
            Err(_) if any => Ok(0),
            _ => Err(GREATER.into()),
        })
        .collect()
}

fn test(name: &[u8], value: &[u8], negated: bool, acl: &Acl) -> Result<Test, Failure> {
    let shown = String::from_utf8_lossy(name);
    Ok(match name {
        b"type" => Test::Kind(kind(value)?),
        b"addr" => Test::Address(text(value)),
        b"laddr" => Test::LocalAddress(text(value)),
        b"ip" => Test::Host(text(value)),
        b"user" if acl.user(value).is_some() => Test::User(text(value)),
        b"user" => return Err(Failure::quoting("ERR No such user '", value, "'")),
        b"name" => Test::Name(text(value)),
        b"lib-name" => Test::LibraryName(text(value)),
        b"lib-ver" => Test::LibraryVersion(text(value)),
        b"maxage" if !negated => Test::AgeSeconds(seconds(&shown, value)?),
        b"idle" if !negated => Test::IdleSeconds(seconds(&shown, value)?),
        b"flags" => Test::Flags(letters("flags", value, FLAGS, negated)?),
        b"capa" => {
            letters("capa", value, "r", negated)?;
            Test::FollowsRedirects
        }
        b"db" => database(value, negated)?,
        _ => return Err(SYNTAX.into()),
    })
}

fn kind(word: &[u8]) -> Result<String, Failure> {
    let kind = text(word).to_ascii_lowercase();
    match kind.as_str() {
        "slave" => Ok("replica".to_owned()),
        kind if KINDS.contains(&kind) => Ok(kind.to_owned()),
        _ => Err(Failure::quoting("ERR Unknown client type '", word, "'")),
    }
}

fn seconds(name: &str, value: &[u8]) -> Result<u64, Failure> {
    let wrong = format!("ERR {name} is not an integer or out of range");
    let seconds = parse_i64(value).ok_or(wrong)?;
    let seconds = u64::try_from(seconds).ok().filter(|&seconds| seconds > 0);
    seconds.ok_or_else(|| format!("ERR {name} should be greater than 0").into())
}

fn letters(name: &str, value: &[u8], known: &str, negated: bool) -> Result<String, Failure> {
    if value.iter().all(|&byte| known.contains(char::from(byte))) {
        return Ok(text(value));
    }
    let place = if negated {
        format!("NOT-{} filter", name.to_ascii_uppercase())
    } else {
        "provided filter".to_owned()
    };
    let before = format!("ERR Unknown {name} found in the {place}: ");
    Err(Failure::quoting(&before, value, ""))
}

fn database(value: &[u8], negated: bool) -> Result<Test, Failure> {
    let name = if negated { "NOT-DB" } else { "DB" };
    let number = parse_i64(value).filter(|number| i32::try_from(*number).is_ok());
    match number {
        Some(0) => Ok(Test::Database),
        Some(_) => Err(format!("ERR {name} number should be between 0 and 0").into()),
        None => Err(format!("ERR {name} is not an integer or out of range").into()),
    }
}
