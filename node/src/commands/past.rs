//! How commands have changed, and what has taken their place, as `COMMAND DOCS` tells it.
//! Versions are those of the Redis documentation.

mod arguments;

pub use arguments::since as argument_since;

/// Since when something else is better, and what.
pub struct Replacement {
    pub since: &'static str,
    pub by: &'static str,
}

const REPLACEMENTS: &[(&str, &str, &str)] = &[
    (
        "brpoplpush",
        "6.2.0",
        "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
    ),
    ("cluster|slaves", "5.0.0", "`CLUSTER REPLICAS`"),
    ("cluster|slots", "7.0.0", "`CLUSTER SHARDS`"),
    (
        "georadius",
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
    ),
    (
        "georadius_ro",
        "6.2.0",
        "`GEOSEARCH` with the `BYRADIUS` argument",
    ),
    (
        "georadiusbymember",
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    ),
    (
        "georadiusbymember_ro",
        "6.2.0",
        "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
    ),
    ("getset", "6.2.0", "`SET` with the `!GET` argument"),
    ("hmset", "4.0.0", "`HSET` with multiple field-value pairs"),
    (
        "rpoplpush",
        "6.2.0",
        "`LMOVE` with the `RIGHT` and `LEFT` arguments",
    ),
    ("slaveof", "5.0.0", "`REPLICAOF`"),
    ("substr", "2.0.0", "`GETRANGE`"),
    ("zrangebylex", "6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    (
        "zrangebyscore",
        "6.2.0",
        "`ZRANGE` with the `BYSCORE` argument",
    ),
    ("zrevrange", "6.2.0", "`ZRANGE` with the `REV` argument"),
    (
        "zrevrangebylex",
        "6.2.0",
        "`ZRANGE` with the `REV` and `BYLEX` arguments",
    ),
    (
        "zrevrangebyscore",
        "6.2.0",
        "`ZRANGE` with the `REV` and `BYSCORE` arguments",
    ),
];

/// What is for those who work on the server.
const FOR_DEVELOPERS: [&str; 4] = ["debug", "pfdebug", "pfselftest", "replconf"];

pub fn replacement(name: &str) -> Option<Replacement> {
    let mut all = REPLACEMENTS.iter();
    let (_, since, by) = all.find(|(replaced, ..)| *replaced == name)?;
    Some(Replacement { since, by })
}

pub fn is_for_developers(name: &str) -> bool {
    FOR_DEVELOPERS.contains(&name)
}

/// The versions that changed a command, each with what it changed.
pub fn changes(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    let lines = CHANGES.lines().filter_map(|line| line.split_once(' '));
    let name = name.to_owned();
    lines
        .filter(move |(of, _)| *of == name)
        .filter_map(|(_, rest)| rest.split_once(' '))
}

/// One change a line: command, version, and what is new.
const CHANGES: &str = "\
acl|getuser 6.2.0 Shows patterns of channels.
acl|getuser 7.0.0 Shows selectors; patterns of keys and channels are shown as rules, not as lists.
acl|log 7.2.0 Entries have an id and the times when they began and were last added to.
acl|setuser 6.2.0 Takes patterns of channels.
acl|setuser 7.0.0 Takes selectors and rights to read or write keys.
auth 6.0.0 Takes the name of a user.
bgsave 3.2.2 Takes `SCHEDULE`.
bitcount 7.0.0 Takes `BYTE` and `BIT`.
bitpos 7.0.0 Takes `BYTE` and `BIT`.
blpop 6.0.0 The timeout may have a fraction.
brpop 6.0.0 The timeout may have a fraction.
brpoplpush 6.0.0 The timeout may have a fraction.
bzpopmax 6.0.0 The timeout may have a fraction.
bzpopmin 6.0.0 The timeout may have a fraction.
client|kill 2.8.12 Takes filters.
client|kill 2.8.12 Takes `ID`.
client|kill 3.2.0 `TYPE` may be `master`.
client|kill 5.0.0 `TYPE` may be `replica`, which `slave` was called before.
client|kill 6.2.0 Takes `LADDR`.
client|kill 7.4.0 Takes `MAXAGE`.
client|list 2.8.12 Shows an `id`.
client|list 5.0.0 Takes `TYPE`.
client|list 6.0.0 Shows the `user`.
client|list 6.2.0 Takes `ID`; shows `argv-mem`, `tot-mem`, `laddr` and `redir`.
client|list 7.0.0 Shows `resp`, `multi-mem`, `rbs` and `rbp`.
client|list 7.0.3 Shows `ssub`.
client|list 7.2.0 Shows `lib-name` and `lib-ver`.
client|pause 6.2.0 Takes a mode, of which `WRITE` is new.
cluster|slots 4.0.0 Shows ids of nodes.
cluster|slots 7.0.0 Shows more of how to reach them.
command|info 7.0.0 Tells of all commands without an argument.
config|get 7.0.0 Takes several patterns.
config|set 7.0.0 Takes several options.
exists 3.0.3 Takes several keys.
expire 7.0.0 Takes `NX`, `XX`, `GT` and `LT`.
expireat 7.0.0 Takes `NX`, `XX`, `GT` and `LT`.
flushall 4.0.0 Takes `ASYNC`.
flushall 6.2.0 Takes `SYNC`.
flushdb 4.0.0 Takes `ASYNC`.
flushdb 6.2.0 Takes `SYNC`.
geoadd 6.2.0 Takes `CH`, `NX` and `XX`.
georadius 6.2.0 `COUNT` may be followed by `ANY`.
georadius 7.0.0 Units may be written in capitals.
georadius_ro 6.2.0 `COUNT` may be followed by `ANY`.
georadiusbymember 6.2.0 `COUNT` may be followed by `ANY`.
georadiusbymember 7.0.0 Units may be written in capitals.
georadiusbymember_ro 6.2.0 `COUNT` may be followed by `ANY`.
georadiusbymember_ro 7.0.0 Units may be written in capitals.
geosearch 7.0.0 Units may be written in capitals.
geosearchstore 7.0.0 Units may be written in capitals.
hdel 2.4.0 Takes several fields.
hello 6.2.0 Without a version it only tells how the connection stands.
hset 4.0.0 Takes several fields.
info 7.0.0 Takes several sections.
lpop 6.2.0 Takes a count.
lpush 2.4.0 Takes several elements.
lpushx 4.0.0 Takes several elements.
migrate 3.0.0 Takes COPY and REPLACE.
migrate 3.0.6 Takes KEYS.
migrate 4.0.7 Takes AUTH.
migrate 6.0.0 Takes AUTH2.
pexpire 7.0.0 Takes `NX`, `XX`, `GT` and `LT`.
pexpireat 7.0.0 Takes `NX`, `XX`, `GT` and `LT`.
pttl 2.8.0 Replies -2 without a key.
renamenx 3.2.0 Both names may be the same.
restore 3.0.0 Takes `REPLACE`.
restore 5.0.0 Takes `ABSTTL`.
restore 5.0.0 Takes `IDLETIME` and `FREQ`.
rpop 6.2.0 Takes a count.
rpush 2.4.0 Takes several elements.
rpushx 4.0.0 Takes several elements.
sadd 2.4.0 Takes several members.
scan 6.0.0 Takes `TYPE`.
script|flush 6.2.0 Takes `ASYNC` and `SYNC`.
set 2.6.12 Takes `EX`, `PX`, `NX` and `XX`.
set 6.0.0 Takes `KEEPTTL`.
set 6.2.0 Takes `GET`, `EXAT` and `PXAT`.
set 7.0.0 `NX` and `GET` go together.
shutdown 7.0.0 Takes `NOW`, `FORCE` and `ABORT`.
slowlog|get 4.0.0 Shows address and name of the client.
spop 3.2.0 Takes a count.
srandmember 2.6.0 Takes a count.
srem 2.4.0 Takes several members.
ttl 2.8.0 Replies -2 without a key.
xadd 6.2.0 Takes `NOMKSTREAM`, `MINID` and `LIMIT`.
xadd 7.0.0 An id may leave its second number open.
xautoclaim 7.0.0 Tells the deleted entries that are pending no more.
xgroup|create 7.0.0 Takes `ENTRIESREAD`.
xgroup|setid 7.0.0 Takes `ENTRIESREAD`.
xinfo|consumers 7.2.0 Shows `inactive`; `idle` counts from the last attempt.
xinfo|groups 7.0.0 Shows `entries-read` and `lag`.
xinfo|stream 6.0.0 Takes `FULL`.
xinfo|stream 7.0.0 Shows what was added and deleted, and how far groups have read.
xinfo|stream 7.2.0 Shows `active-time`; `seen-time` is that of the last attempt.
xpending 6.2.0 Takes `IDLE`; ids may be excluded from the range.
xrange 6.2.0 Ids may be excluded from the range.
xrevrange 6.2.0 Ids may be excluded from the range.
xsetid 7.0.0 Takes `ENTRIESADDED` and `MAXDELETEDID`.
xtrim 6.2.0 Takes `MINID` and `LIMIT`.
zadd 2.4.0 Takes several members.
zadd 3.0.2 Takes `XX`, `NX`, `CH` and `INCR`.
zadd 6.2.0 Takes `GT` and `LT`.
zrange 6.2.0 Takes `REV`, `BYSCORE`, `BYLEX` and `LIMIT`.
zrangebyscore 2.0.0 Takes `WITHSCORES`.
zrank 7.2.0 Takes `WITHSCORE`.
zrem 2.4.0 Takes several members.
zrevrangebyscore 2.1.6 Bounds may be excluded.
zrevrank 7.2.0 Takes `WITHSCORE`.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::CommandTable;

    #[test]
    fn what_has_changed_is_a_command_and_in_the_order_of_versions() {
        let is_command = |name: &str| CommandTable.all().iter().any(|row| row.name == name);
        let numbers = |version: &str| -> Vec<u32> {
            version
                .split('.')
                .map(|part| part.parse().unwrap())
                .collect()
        };
        for line in CHANGES.lines() {
            let name = line.split(' ').next().unwrap();
            assert!(is_command(name), "{line}");
            let versions: Vec<Vec<u32>> = changes(name).map(|(at, _)| numbers(at)).collect();
            assert!(versions.is_sorted(), "{name}");
        }
        for (name, ..) in REPLACEMENTS {
            assert!(is_command(name) && replacement(name).is_some(), "{name}");
        }
        assert!(is_for_developers("debug") && !is_for_developers("get"));
    }
}
