//! Since when arguments exist that are newer than their commands, as `COMMAND DOCS` tells it.

/// The version that brought an argument: `path` is the names of what it is within and its own, with
/// `/` between them.
pub fn since(command: &str, path: &str) -> Option<&'static str> {
    let lines = VERSIONS.lines().filter_map(|line| line.split_once(' '));
    let mut arguments = lines.filter(|(of, _)| *of == command);
    arguments.find_map(|(_, rest)| {
        rest.split_once(' ')
            .filter(|(of, _)| *of == path)
            .map(|(_, version)| version)
    })
}

/// One argument a line: command, path, version.
const VERSIONS: &str = "\
auth username 6.0.0
bgsave schedule 3.2.2
bitcount index/index_unit 7.0.0
bitpos index/end_index/index_unit 7.0.0
client|kill filter/new-format/client-id 2.8.12
client|kill filter/new-format/client-type 2.8.12
client|kill filter/new-format/client-type/master 3.2.0
client|kill filter/new-format/client-type/primary 8.0.0
client|kill filter/new-format/client-type/replica 5.0.0
client|kill filter/new-format/laddr 6.2.0
client|kill filter/new-format/maxage 7.4.0
client|kill filter/new-format/name 9.0.0
client|kill filter/new-format/idle 9.0.0
client|kill filter/new-format/flags 9.0.0
client|kill filter/new-format/lib-name 9.0.0
client|kill filter/new-format/lib-ver 9.0.0
client|kill filter/new-format/db 9.0.0
client|kill filter/new-format/capa 9.0.0
client|kill filter/new-format/ip 9.0.0
client|kill filter/new-format/not-client-type 9.0.0
client|kill filter/new-format/not-client-id 9.0.0
client|kill filter/new-format/not-username 9.0.0
client|kill filter/new-format/not-addr 9.0.0
client|kill filter/new-format/not-laddr 9.0.0
client|kill filter/new-format/not-name 9.0.0
client|kill filter/new-format/not-flags 9.0.0
client|kill filter/new-format/not-lib-name 9.0.0
client|kill filter/new-format/not-lib-ver 9.0.0
client|kill filter/new-format/not-db 9.0.0
client|kill filter/new-format/not-capa 9.0.0
client|kill filter/new-format/not-ip 9.0.0
client|list client-id 6.2.0
client|list client-type 5.0.0
client|list addr 8.1.0
client|list laddr 8.1.0
client|list maxage 8.1.0
client|list skipme 8.1.0
client|list username 8.1.0
client|list name 9.0.0
client|list idle 9.0.0
client|list flags 9.0.0
client|list lib-name 9.0.0
client|list lib-ver 9.0.0
client|list db 9.0.0
client|list capa 9.0.0
client|list ip 9.0.0
client|list not-client-type 9.0.0
client|list not-client-id 9.0.0
client|list not-username 9.0.0
client|list not-addr 9.0.0
client|list not-laddr 9.0.0
client|list not-name 9.0.0
client|list not-flags 9.0.0
client|list not-lib-name 9.0.0
client|list not-lib-ver 9.0.0
client|list not-db 9.0.0
client|list not-capa 9.0.0
client|list not-ip 9.0.0
client|pause mode 6.2.0
expire condition 7.0.0
expireat condition 7.0.0
flushall flush-type/async 4.0.0
flushall flush-type/sync 6.2.0
flushdb flush-type/async 4.0.0
flushdb flush-type/sync 6.2.0
geoadd change 6.2.0
geoadd condition 6.2.0
georadius count/any 6.2.0
georadius_ro count/any 6.2.0
geosearch by/polygon 9.0.0
geosearchstore by/polygon 9.0.0
lpop count 6.2.0
migrate authentication/auth 4.0.7
migrate authentication/auth2 6.0.0
migrate copy 3.0.0
migrate keys 3.0.6
migrate replace 3.0.0
pexpire condition 7.0.0
pexpireat condition 7.0.0
restore absttl 5.0.0
restore frequency 5.0.0
restore replace 3.0.0
restore seconds 5.0.0
rpop count 6.2.0
scan type 6.0.0
script|flush flush-type 6.2.0
set condition 2.6.12
set condition/comparison-value 8.1.0
set condition/nx 2.6.12
set condition/xx 2.6.12
set expiration/keepttl 6.0.0
set expiration/milliseconds 2.6.12
set expiration/seconds 2.6.12
set expiration/unix-time-milliseconds 6.2.0
set expiration/unix-time-seconds 6.2.0
set get 6.2.0
shutdown abort 7.0.0
shutdown force 7.0.0
shutdown now 7.0.0
spop count 3.2.0
srandmember count 2.6.0
xadd nomkstream 6.2.0
xadd trim/count 6.2.0
xadd trim/strategy/minid 6.2.0
xpending filters/min-idle-time 6.2.0
xsetid entries_added 7.0.0
xsetid max_deleted_entry_id 7.0.0
xtrim trim/count 6.2.0
xtrim trim/strategy/minid 6.2.0
zadd change 3.0.2
zadd comparison 6.2.0
zadd condition 3.0.2
zadd increment 3.0.2
zrange offset_count 6.2.0
zrange rev 6.2.0
zrange sortby 6.2.0
zrangebyscore withscores 2.0.0
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_by_command_and_path() {
        assert_eq!(since("set", "expiration/keepttl"), Some("6.0.0"));
        assert_eq!(since("set", "keepttl"), None);
        assert_eq!(since("get", "key"), None);
    }
}
