//! Where kv-node answers otherwise than Redis 7.0, and why.

/// One deliberate difference.
struct Difference {
    /// The beginning of the request, lower case.
    request: &'static str,
    /// How the node's reply begins; any other reply is still a failure.
    node: &'static str,
    #[expect(dead_code, reason = "for the reader")]
    reason: &'static str,
}

const fn difference(request: &'static str, node: &'static str, reason: &'static str) -> Difference {
    Difference {
        request,
        node,
        reason,
    }
}

const FILTERS: &str = "more filters since Redis 7.4 and Valkey 9";

const LONG_TIMEOUT: &str = "a time that does not fit is refused since Redis 7.2";

const DIFFERENCES: &[Difference] = &[
    difference(
        "config set maxmemory-samples",
        "-ERR CONFIG SET failed (possibly related to argument 'maxmemory-samples') - argument must \
         be between 1 and 64 inclusive",
        "more samples would make the pause of an eviction too long; Redis 8 has the same limit",
    ),
    difference(
        "command getkeys",
        "-ERR ",
        "its arity is -3 since Redis 7.2, so that commands without arguments can be asked for",
    ),
    difference(
        "wait",
        "-ERR timeout is out of range",
        "a time that does not fit is refused since Redis 7.2",
    ),
    difference("client list", "$", FILTERS),
    difference("client list", "-ERR ", FILTERS),
    difference("client kill", ":", FILTERS),
    difference("client kill", "-ERR ", FILTERS),
    difference("client setinfo", "+OK", "new in Redis 7.2"),
    difference("client setinfo", "-ERR ", "new in Redis 7.2"),
    difference("cluster myshardid", "-ERR ", "new in Redis 7.2"),
    difference(
        "config set proto-max-bulk-len",
        "-ERR CONFIG SET failed",
        "a longer bulk string than 512 MiB would not fit the buffers of this server",
    ),
    difference(
        "config set appendonly",
        "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - nothing is kept",
        "there is no log without a directory, which the start decides, by --dir",
    ),
    difference(
        "bitcount",
        "-ERR ",
        "since Redis 7.2 wrong arguments are refused even for a key that does not exist",
    ),
    difference(
        "bitpos",
        "-ERR ",
        "since Redis 7.2 wrong arguments are refused even for a key that does not exist",
    ),
    difference(
        "zrank",
        "-ERR syntax error",
        "has an option since Redis 7.2",
    ),
    difference(
        "zrevrank",
        "-ERR syntax error",
        "has an option since Redis 7.2",
    ),
    difference("blpop", "-ERR timeout is out of range", LONG_TIMEOUT),
    difference("brpop", "-ERR timeout is out of range", LONG_TIMEOUT),
    difference("blmpop", "-ERR timeout is out of range", LONG_TIMEOUT),
    difference("blmove", "-ERR timeout is out of range", LONG_TIMEOUT),
    difference(
        "lpos",
        "-ERR value is out of range, value must between",
        "a rank that cannot be negated is refused since Redis 7.2",
    ),
    difference(
        "lrem",
        "-ERR value is out of range, value must between",
        "a count that cannot be negated is refused since Redis 7.2",
    ),
    difference(
        "xread",
        "-ERR Unbalanced 'xread",
        "the error names the command since Redis 7.2",
    ),
    difference(
        "xreadgroup",
        "-ERR The + ID is meaningless",
        "new in Redis 7.4, as what + means to XREAD",
    ),
    difference(
        "xgroup createconsumer",
        ":0",
        "reading and claiming create the consumer even if it gets nothing since Redis 7.2",
    ),
    difference("delifeq", "", "of Valkey 9.0"),
    difference("msetex", "", "of Redis 8.4 and Valkey 9.1"),
    difference("lolwut", "", "shows this server's own version"),
];

/// Fields of `CLIENT LIST` that are newer than Redis 7.0: of 7.2, and of Redis 8 and Valkey 8.
pub const CLIENT_FIELDS: [&str; 6] = [
    "lib-name",
    "lib-ver",
    "tot-net-in",
    "tot-net-out",
    "tot-cmds",
    "watch",
];

/// Rows of `COMMAND` that differ from Redis 7.0, and why.
pub const ROWS: &[(&str, &str)] = &[
    ("script|show", "of Valkey 8"),
    ("cluster|slot-stats", "of Valkey 8"),
    (
        "script|flush",
        "its argument is named flush-type since Redis 7.2",
    ),
    ("wait", "may block, and says so since Redis 7.2"),
    ("lolwut", "reads no key"),
    (
        "migrate",
        "one specification tells the key before KEYS from those after it",
    ),
    ("acl|setuser", "has tips since Redis 7.2"),
    ("acl|save", "has tips since Redis 7.2"),
    ("acl|deluser", "has tips since Redis 7.2"),
    ("acl|cat", "its argument is named category since Redis 7.2"),
    ("command|getkeys", "arity -3 since Redis 7.2"),
    ("command|getkeysandflags", "arity -3 since Redis 7.2"),
    ("client|setinfo", "new in Redis 7.2"),
    (
        "blpop",
        "scripts may run it, without waiting, since Redis 7.2",
    ),
    (
        "brpop",
        "scripts may run it, without waiting, since Redis 7.2",
    ),
    (
        "blmove",
        "scripts may run it, without waiting, since Redis 7.2",
    ),
    (
        "brpoplpush",
        "scripts may run it, without waiting, since Redis 7.2",
    ),
    (
        "bzpopmin",
        "scripts may run it, without waiting, since Redis 7.2",
    ),
    (
        "bzpopmax",
        "scripts may run it, without waiting, since Redis 7.2",
    ),
    ("zrank", "WITHSCORE is new in Redis 7.2"),
    ("zrevrank", "WITHSCORE is new in Redis 7.2"),
    ("waitaof", "new in Redis 7.2"),
    ("client|no-touch", "new in Redis 7.2"),
    ("client|capa", "new in Valkey 8.0"),
    ("client|import-source", "new in Valkey 8.1"),
    ("commandlog", "new in Valkey 8.1"),
    ("commandlog|get", "new in Valkey 8.1"),
    ("commandlog|help", "new in Valkey 8.1"),
    ("commandlog|len", "new in Valkey 8.1"),
    ("commandlog|reset", "new in Valkey 8.1"),
    ("cluster|myshardid", "new in Redis 7.2"),
    ("hscan", "NOVALUES is new in Redis 7.4"),
    ("delifeq", "of Valkey 9.0"),
    ("msetex", "of Redis 8.4 and Valkey 9.1"),
    ("hexpire", "new in Redis 7.4"),
    ("hpexpire", "new in Redis 7.4"),
    ("hexpireat", "new in Redis 7.4"),
    ("hpexpireat", "new in Redis 7.4"),
    ("httl", "new in Redis 7.4"),
    ("hpttl", "new in Redis 7.4"),
    ("hexpiretime", "new in Redis 7.4"),
    ("hpexpiretime", "new in Redis 7.4"),
    ("hpersist", "new in Redis 7.4"),
    ("hgetdel", "new in Redis 8.0"),
    ("hgetex", "new in Redis 8.0"),
    ("hsetex", "new in Redis 8.0"),
];

/// Whether a listed difference explains the node's reply.
pub fn excuse(words: &[Vec<u8>], node: &[u8]) -> bool {
    let request = words.join(&b' ').to_ascii_lowercase();
    // `+` is the last entry since Redis 7.4.
    let reads_last = request.starts_with(b"xread ") && words.iter().any(|word| word == b"+");
    if reads_last && !node.starts_with(b"-") {
        return true;
    }
    DIFFERENCES.iter().any(|difference| {
        request.starts_with(difference.request.as_bytes())
            && node.starts_with(difference.node.as_bytes())
    })
}

/// Whether there is a listed difference for such a request.
pub fn is_listed(words: &[Vec<u8>]) -> bool {
    let request = words.join(&b' ').to_ascii_lowercase();
    let mut requests = DIFFERENCES.iter().map(|difference| difference.request);
    requests.any(|listed| request.starts_with(listed.as_bytes()))
}

/// Small lists and sets are listpacks since Redis 7.2; before, every list was a quicklist, and a
/// set of more than integers a hashtable.
pub fn is_new_encoding(redis: &[u8], node: &[u8]) -> bool {
    // How many members come at once decides how a set begins, even if some of them are the same.
    let old = [
        &b"$9\r\nquicklist\r\n"[..],
        b"$9\r\nhashtable\r\n",
        b"$6\r\nintset\r\n",
    ];
    old.contains(&redis) && node == b"$8\r\nlistpack\r\n"
}
