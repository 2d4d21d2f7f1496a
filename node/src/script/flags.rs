//! What scripts and functions declare: the `#!lua` line and its flags.
//!
//! Source: the Redis documentation on scripts with flags, and the error texts of Redis 7.2.

use protocol::resp::split_words;

/// Flags of a script, to be combined.
pub mod flag {
    pub const NO_WRITES: u32 = 1;
    pub const ALLOW_OOM: u32 = 1 << 1;
    pub const ALLOW_STALE: u32 = 1 << 2;
    pub const NO_CLUSTER: u32 = 1 << 3;
    pub const ALLOW_CROSS_SLOT_KEYS: u32 = 1 << 4;
    /// Declares nothing: what it may do is found out while it runs.
    pub const COMPATIBLE: u32 = 1 << 5;
}

pub const FLAG_NAMES: [(u32, &str); 5] = [
    (flag::NO_WRITES, "no-writes"),
    (flag::ALLOW_OOM, "allow-oom"),
    (flag::ALLOW_STALE, "allow-stale"),
    (flag::NO_CLUSTER, "no-cluster"),
    (flag::ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
];

/// The flag of a name.
pub fn named(name: &[u8]) -> Option<u32> {
    let found = FLAG_NAMES.iter().find(|(_, n)| n.as_bytes() == name);
    found.map(|(flag, _)| *flag)
}

/// The flags that the first line of a script declares, and what is to be compiled. That begins with
/// the end of the first line, so that lines keep their numbers.
pub fn header(text: &[u8]) -> Result<(Option<u32>, &[u8]), Vec<u8>> {
    if !text.starts_with(b"#!") {
        return Ok((None, text));
    }
    let end = text.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or(b"ERR Invalid script shebang")?;
    let words = split_words(&text[..end]);
    let words = words.ok_or(b"ERR Invalid engine in script shebang")?;
    let mut words = words.iter().map(Vec::as_slice);
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return Err([b"ERR Unexpected engine in script shebang: ", engine].concat());
    }
    let mut flags = 0;
    for word in words {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return Err([b"ERR Unknown lua shebang option: ", word].concat());
        };
        if list.is_empty() {
            continue;
        }
        for name in list.split(|&byte| byte == b',') {
            flags |= named(name)
                .ok_or_else(|| [b"ERR Unexpected flag in script shebang: ", name].concat())?;
        }
    }
    Ok((Some(flags), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(Option<u32>, &str), &str>) {
        let found = header(text.as_bytes());
        let expect = expect.map(|(flags, body)| (flags, body.as_bytes()));
        assert_eq!(found, expect.map_err(|text| text.as_bytes().to_vec()));
    }

    #[test]
    fn the_first_line_declares_flags() {
        check("return 1", Ok((None, "return 1")));
        check("#!lua\nreturn 1", Ok((Some(0), "\nreturn 1")));
        check(
            "#!lua flags=no-writes,allow-oom\nx",
            Ok((Some(flag::NO_WRITES | flag::ALLOW_OOM), "\nx")),
        );
        check("#!lua", Err("ERR Invalid script shebang"));
        check(
            "#!py\nx",
            Err("ERR Unexpected engine in script shebang: #!py"),
        );
        check("#!lua a\nx", Err("ERR Unknown lua shebang option: a"));
        check(
            "#!lua flags=x\nx",
            Err("ERR Unexpected flag in script shebang: x"),
        );
        check(
            "#!lua flags=no-writes,\nx",
            Err("ERR Unexpected flag in script shebang: "),
        );
        check("#!lua flags=\nx", Ok((Some(0), "\nx")));
        check(
            "#!lua flags=\"no-writes\"\nx",
            Ok((Some(flag::NO_WRITES), "\nx")),
        );
        check("#!lua \"\nx", Err("ERR Invalid engine in script shebang"));
    }
}
