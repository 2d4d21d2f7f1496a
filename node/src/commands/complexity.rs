//! What commands cost, as `COMMAND DOCS` tells it.

/// Costs, and the commands that have them.
const COSTS: &[(&str, &str)] = &[
    (
        "O(1)",
        "acl|genpass acl|help acl|whoami acl|cat acl|dryrun asking blmove brpoplpush lmove \
         rpoplpush client|caching client|capa client|getname client|getredir client|help \
         client|import-source client|id client|info client|no-evict client|no-touch \
         client|pause client|reply \
         client|setinfo client|setname client|tracking client|trackinginfo client|unblock \
         cluster|countkeysinslot cluster|help cluster|myid cluster|myshardid cluster|keyslot \
         command|count command|help config|help config|rewrite config|resetstat dbsize decr \
         decrby delifeq echo expire expireat expiretime function|delete function|help \
         function|kill function|stats geodist get getbit getdel getex getset hello hexists \
         hget hincrby hincrbyfloat hlen hsetnx hstrlen incr incrby incrbyfloat llen \
         memory|doctor memory|help memory|malloc-stats memory|purge memory|stats multi \
         object|encoding object|freq object|help object|idletime object|refcount persist \
         pexpire pexpireat pexpiretime ping psetex pttl pubsub|help pubsub|numpat quit \
         randomkey readonly readwrite rename renamenx reset scard script|debug script|help \
         script|kill script|show select set setbit setex setnx sismember smove strlen time \
         ttl type unwatch wait waitaof xgroup|create xgroup|createconsumer xgroup|help \
         xgroup|setid xinfo|help xlen xsetid zcard zscore lastsave module|help module|list \
         flushall flushdb save bgsave bgrewriteaof shutdown script|flush function|flush",
    ),
    (
        "O(N), N: fields named",
        "hdel hexpire hexpireat hexpiretime hgetdel hgetex hmget hmset hpersist hpexpire \
         hpexpireat hpexpiretime hpttl hset hsetex httl",
    ),
    (
        "O(N), N: keys named",
        "blpop brpop del exists mget migrate mset msetex msetnx touch unlink watch",
    ),
    (
        "O(N), N: elements or members named",
        "lpush lpushx rpush rpushx pfadd sadd smismember srem zmscore geohash geopos",
    ),
    (
        "O(N), N: elements or members returned",
        "hrandfield lpop rpop spop srandmember zrandmember hgetall hkeys hvals smembers",
    ),
    (
        "O(N*log(M)), N: members named, M: members of the sorted set",
        "geoadd zadd zrem",
    ),
    (
        "O(log(N)), N: members of the sorted set",
        "bzpopmax bzpopmin zcount zincrby zlexcount zrank zrevrank",
    ),
    (
        "O(log(N)+M), N: members of the sorted set, M: members that are returned or removed",
        "zrange zrangebylex zrangebyscore zrangestore zrevrange zrevrangebylex \
         zrevrangebyscore zremrangebylex zremrangebyrank zremrangebyscore",
    ),
    (
        "O(M*log(N)), N: members of the sorted set, M: members popped",
        "zpopmax zpopmin",
    ),
    (
        "O(K+M*log(N)), K: keys named, N: members of the sorted set, M: members popped",
        "bzmpop zmpop",
    ),
    ("O(K+M), K: keys named, M: elements popped", "blmpop lmpop"),
    (
        "O(N+log(M)), N: members in the box around the area, M: members of the index",
        "georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch \
         geosearchstore",
    ),
    (
        "O(1) a call; O(N) for an iteration over N",
        "hscan scan sscan zscan",
    ),
    (
        "O(N), N: members of all the sets",
        "sdiff sdiffstore sunion sunionstore",
    ),
    (
        "O(N*K), N: members of the smallest set, K: sets",
        "sinter sintercard sinterstore zintercard",
    ),
    (
        "O(N*K+M*log(M)), N: members of the smallest set, K: sets, M: members of the result",
        "zinter zinterstore",
    ),
    (
        "O(N+M*log(M)), N: members of all the sets, M: members of the result",
        "zdiff zdiffstore zunion zunionstore",
    ),
    (
        "O(N), N: bytes of the strings",
        "append bitcount bitop bitpos getrange setrange substr",
    ),
    ("O(N*M), N and M: bytes of the two strings", "lcs"),
    ("O(N), N: operations", "bitfield bitfield_ro"),
    (
        "O(N), N: registers of the HyperLogLogs",
        "pfcount pfdebug pfmerge",
    ),
    (
        "O(N), N: elements between the position and the nearer end of the list, by nodes",
        "lindex lset",
    ),
    (
        "O(N), N: elements of the list that are looked at",
        "linsert lpos lrem",
    ),
    (
        "O(S+N), S: elements before the range, by nodes, N: elements of the range",
        "lrange ltrim",
    ),
    (
        "O(N+M*log(M)), N: elements sorted, M: elements returned",
        "sort sort_ro",
    ),
    ("O(N), N: elements of the value", "copy dump restore"),
    ("O(N), N: elements looked at, by SAMPLES", "memory|usage"),
    ("O(N), N: keys of the shard", "keys"),
    ("what the script does", "eval eval_ro evalsha evalsha_ro"),
    ("what the function does", "fcall fcall_ro"),
    ("what the transaction's commands do", "exec"),
    ("O(N), N: commands of the transaction", "discard"),
    ("O(N), N: bytes of the code", "function|load script|load"),
    ("O(N), N: scripts named", "script|exists"),
    (
        "O(N), N: functions",
        "function|dump function|list function|restore",
    ),
    ("O(N), N: ids named", "xack xclaim xdel"),
    ("O(1); O(N) when it trims, N: entries trimmed", "xadd"),
    ("O(N), N: entries trimmed", "xtrim"),
    (
        "O(N), N: entries returned",
        "xrange xread xreadgroup xrevrange",
    ),
    ("O(N), N: entries looked at", "xautoclaim xpending"),
    (
        "O(N), N: pending entries of the group or consumer",
        "xgroup|delconsumer xgroup|destroy",
    ),
    (
        "O(N), N: groups, consumers or entries returned",
        "xinfo|consumers xinfo|groups xinfo|stream",
    ),
    (
        "O(N), N: channels or patterns named",
        "psubscribe pubsub|numsub pubsub|shardnumsub punsubscribe ssubscribe subscribe \
         sunsubscribe unsubscribe",
    ),
    (
        "O(N+M), N: clients that get the message, M: patterns that anybody subscribed to",
        "publish",
    ),
    ("O(N), N: clients that get the message", "spublish"),
    (
        "O(N), N: channels with subscribers",
        "pubsub|channels pubsub|shardchannels",
    ),
    (
        "O(N), N: users",
        "acl|list acl|load acl|save acl|users acl|deluser",
    ),
    (
        "O(N), N: rules or passwords of the user",
        "acl|getuser acl|setuser auth",
    ),
    ("O(N), N: entries shown", "acl|log"),
    ("O(N), N: clients", "client|kill client|list client|unpause"),
    (
        "O(N), N: members of the cluster",
        "cluster|count-failure-reports cluster|info cluster|links cluster|nodes \
         cluster|replicas cluster|shards cluster|slaves cluster|slots role",
    ),
    ("O(N*log(N)), N: slots of the shard", "cluster|slot-stats"),
    ("O(N), N: keys returned", "cluster|getkeysinslot"),
    (
        "O(N), N: commands shown",
        "command|docs command|info command|list",
    ),
    (
        "O(N), N: arguments of the command",
        "command|getkeys command|getkeysandflags",
    ),
    ("O(N), N: options named", "config|get config|set"),
    ("O(N), N: statistics shown", "info"),
];

/// What a command costs; `None` where nothing can be said, as of containers.
pub fn complexity(name: &str) -> Option<&'static str> {
    let mut costs = COSTS.iter();
    costs.find_map(|(cost, names)| names.split(' ').any(|n| n == name).then_some(*cost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::CommandTable;

    #[test]
    fn every_command_with_keys_has_a_cost_and_every_name_is_a_command() {
        let rows = CommandTable.all();
        for row in rows
            .iter()
            .filter(|row| row.is_callable() && row.has_keys())
        {
            assert!(complexity(row.name).is_some(), "{}", row.name);
        }
        for name in COSTS.iter().flat_map(|(_, names)| names.split(' ')) {
            assert!(rows.iter().any(|row| row.name == name), "{name}");
        }
    }
}
