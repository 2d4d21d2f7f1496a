//! What a command does to each of its keys, read off the words of its key specifications.

use super::{Command, flag};
use smallvec::SmallVec;

/// What a user needs, or has, the right to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    pub reads: bool,
    pub writes: bool,
}

impl Access {
    pub const ALL: Self = Self {
        reads: true,
        writes: true,
    };
    pub const READ: Self = Self {
        reads: true,
        writes: false,
    };

    pub fn or(self, other: Self) -> Self {
        Self {
            reads: self.reads || other.reads,
            writes: self.writes || other.writes,
        }
    }

    pub fn includes(self, other: Self) -> bool {
        (self.reads || !other.reads) && (self.writes || !other.writes)
    }
}

/// A key among the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    pub position: usize,
    /// Access, then kinds: `RW access update`.
    pub flags: &'static str,
}

impl KeyUse {
    /// What it takes: to see a value, or to change one. Metadata alone (`EXISTS`) takes neither.
    pub fn access(&self) -> Access {
        let mut access = Access::default();
        for word in self.flags.split(' ') {
            access.reads |= word == "access";
            access.writes |= matches!(word, "insert" | "delete" | "update");
        }
        access
    }
}

/// Whether these words of a key specification are about something that is no key.
fn names_no_key(flags: &str) -> bool {
    flags.split(' ').any(|word| word == "not_key")
}

impl Command {
    /// Whether its arguments may name keys, not just channels.
    pub fn may_use_keys(&self) -> bool {
        let range = self.key_range.0 != 0 && !names_no_key(self.key_spec_flags());
        let mut specs = self.key_specs.iter();
        specs.any(|spec| !names_no_key(spec.flags)) || self.key_specs.is_empty() && range
    }

    /// The keys among the arguments, and what happens to them. Channels that merely go where a
    /// slot goes are no keys.
    pub fn key_uses(&self, arguments: &[&[u8]]) -> SmallVec<[KeyUse; 4]> {
        let mut uses = SmallVec::new();
        if !self.key_specs.is_empty() {
            let keys = self.key_specs.iter();
            for spec in keys.filter(|spec| !names_no_key(spec.flags)) {
                let mut found = SmallVec::new();
                spec.find(arguments, &mut found);
                let flags = self.flags_of_call(spec.flags, arguments);
                uses.extend(found.into_iter().map(|position| KeyUse { position, flags }));
            }
            return uses;
        }
        if names_no_key(self.key_spec_flags()) {
            return uses;
        }
        let specs: SmallVec<[&'static str; 2]> = self.key_spec_flags().split('|').collect();
        for (index, position) in self.key_positions(arguments).enumerate() {
            let flags = specs[index.min(specs.len() - 1)];
            let flags = self.flags_of_call(flags, arguments);
            uses.push(KeyUse { position, flags });
        }
        uses
    }

    /// The words of its key specifications; with `|` between them, of one key each.
    pub fn key_spec_flags(&self) -> &'static str {
        match self.key_flags {
            "" if self.has(flag::WRITE) => "RW update",
            "" => "RO access",
            flags => flags,
        }
    }

    /// The words that hold for this call, where they vary.
    fn flags_of_call(&self, flags: &'static str, arguments: &[&[u8]]) -> &'static str {
        if !flags.ends_with("variable_flags") {
            return flags;
        }
        match self.name {
            "set" if !gets(arguments) => "OW update",
            "bitfield" if only_reads(arguments) => "RO access",
            _ => "RW access update",
        }
    }
}

/// Whether `SET` answers the old value.
fn gets(arguments: &[&[u8]]) -> bool {
    let mut options = arguments.iter().skip(3);
    options.any(|word| word.eq_ignore_ascii_case(b"GET"))
}

/// Whether all that `BITFIELD` does is `GET`.
fn only_reads(arguments: &[&[u8]]) -> bool {
    let mut rest = arguments.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            [] => return true,
            [word, _, _, after @ ..] if word.eq_ignore_ascii_case(b"GET") => after,
            [word, _, after @ ..] if word.eq_ignore_ascii_case(b"OVERFLOW") => after,
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::CommandTable;

    #[test]
    fn each_key_is_used_as_its_specification_says() {
        let check = |request: &str, expect: &[(usize, &str)]| {
            let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
            let row = CommandTable.find(&words).unwrap();
            let uses = row.key_uses(&words);
            let found: Vec<(usize, &str)> = uses.iter().map(|u| (u.position, u.flags)).collect();
            assert_eq!(found, expect, "{request}");
        };
        check("get a", &[(1, "RO access")]);
        check("set a 1 EX 5", &[(1, "OW update")]);
        check("set a 1 EX 5 get", &[(1, "RW access update")]);
        check("set get get", &[(1, "OW update")]);
        check(
            "bitfield a get u8 0 overflow sat get u8 1",
            &[(1, "RO access")],
        );
        check("bitfield a get u8 0 set u8 0 1", &[(1, "RW access update")]);
        check("rename a b", &[(1, "RW access delete"), (2, "OW update")]);
        check("mset a 1 b 2", &[(1, "OW update"), (3, "OW update")]);
        check("ping", &[]);
    }
}
