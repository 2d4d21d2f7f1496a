//! Random requests with a taste for edges: wrong arities, huge numbers, odd options, binary keys.

use super::families::{FAMILIES, Family, WHOLE, words_of};
use super::words::{
    BIT_OFFSETS, BITFIELD_OPERATIONS, BITFIELD_TYPES, BITMAP_KEYS, CLIENT_WORDS, COMMANDS,
    CONFIG_WORDS, EXPIRE_OPTIONS, EXPIRIES, FLOATS, FLUSH_OPTIONS, GETEX_OPTIONS, HELLO_OPTIONS,
    HYPERLOGLOG_KEYS, INTEGERS, KEYS, LCS_OPTIONS, OBJECT_WORDS, OFFSETS, PATTERNS, POSITIONS,
    RESTORE_OPTIONS, SCAN_OPTIONS, SET_OPTIONS, TIMES, VALUES,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// A request and which of the connections sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub connection: usize,
    pub words: Vec<Vec<u8>>,
}

/// How many connections a sequence uses; the last one speaks RESP3.
pub const CONNECTIONS: usize = 3;

/// Requests as words; a word with `$` in front stands for a random one, with `*` at its end for up
/// to three of them.
const TEMPLATES: &[&str] = &[
    "SET $k $v",
    "SET $k $v",
    "SET $k $v $set*",
    "SET $k $v $set*",
    "SETNX $k $v",
    "SETEX $k $x $v",
    "PSETEX $k $x $v",
    "GET $k",
    "GET $k",
    "GETSET $k $v",
    "GETDEL $k",
    "GETEX $k $getex*",
    "GETEX $k $getex*",
    "APPEND $k $v",
    "APPEND $k $v",
    "STRLEN $k",
    "GETRANGE $k $s $s",
    "GETRANGE $k $s $s",
    "SUBSTR $k $s $s",
    "SETRANGE $k $r $v",
    "SETRANGE $k $r $v",
    "MGET $k $k*",
    "MSET $k $v $k $v",
    "MSET $k $v $k $v $k",
    "MSETNX $k $v $k $v",
    "INCR $k",
    "DECR $k",
    "INCRBY $k $i",
    "DECRBY $k $i",
    "INCRBYFLOAT $k $f",
    "INCRBYFLOAT $k $f",
    "LCS $k $k $lcs*",
    "LCS $k $k $lcs*",
    "DEL $k $k*",
    "UNLINK $k $k*",
    "EXISTS $k $k*",
    "TOUCH $k $k*",
    "TYPE $k",
    "EXPIRE $k $x $exp*",
    "PEXPIRE $k $x $exp*",
    "EXPIREAT $k $t $exp*",
    "PEXPIREAT $k $t $exp*",
    "TTL $k",
    "PTTL $k",
    "EXPIRETIME $k",
    "PEXPIRETIME $k",
    "PERSIST $k",
    "RENAME $k $k",
    "RENAMENX $k $k",
    "KEYS $p",
    "KEYS $p",
    "RANDOMKEY",
    "DBSIZE",
    "FLUSHDB $flush*",
    "OBJECT $obj $k",
    "OBJECT ENCODING $k",
    "OBJECT ENCODING $k",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH $k $k*",
    "UNWATCH",
    "PING",
    "PING $v",
    "ECHO $v",
    "SELECT $i",
    "RESET",
    "HELLO $hello",
    "AUTH $v",
    "AUTH $k $v",
    "CLIENT $client $v*",
    "CLIENT ID",
    "CLIENT GETNAME",
    "CLIENT SETNAME $v",
    "CLIENT INFO",
    "CONFIG GET $conf $conf*",
    "CONFIG SET $conf $i",
    "CONFIG $v $v",
    "CONFIG SET tcp-keepalive $i timeout $i",
    "COMMAND COUNT $v",
    "COMMAND GETKEYS $cmd $k $v $k $v",
    "COMMAND LIST $v*",
    "$cmd $v*",
    "$cmd $k $v*",
    "$cmd $cmd $k*",
    "WAIT $z 1",
    "READONLY",
    "READWRITE",
    "ASKING",
    "CLUSTER INFO",
    "CLUSTER $v $k",
    "CLUSTER KEYSLOT $k",
    "SCAN $i $scan*",
    "SCAN 0 $scan*",
    "TIME",
    "ROLE",
    "SHUTDOWN $v $v $v $v",
    "COPY $k $k",
    "COPY $k $k $copy*",
    "COPY $bk $hk REPLACE",
    "DUMP nosuch",
    "RESTORE $k 0 $v $restore*",
    "MEMORY USAGE nosuch",
    "MEMORY USAGE nosuch SAMPLES $i",
    "MEMORY $v $k",
    "SETBIT $bk $bit $on",
    "SETBIT $bk $bit $on",
    "SETBIT $bk $bit $on",
    "GETBIT $bk $bit",
    "BITCOUNT $bk",
    "BITCOUNT $bk $s $s",
    "BITCOUNT $bk $s $s $unit",
    "BITPOS $bk $on",
    "BITPOS $bk $on $s",
    "BITPOS $bk $on $s $s",
    "BITPOS $bk $on $s $s $unit",
    "BITOP $bop $bk $bk $bk*",
    "BITOP $bop $bk $bk",
    "BITFIELD $bk $bf*",
    "BITFIELD $bk $bf $bf $bf",
    "BITFIELD_RO $bk $bf*",
    "PFADD $hk $v*",
    "PFADD $hk $v $i $f $k",
    "PFADD $hk $v $p $s $t",
    "PFCOUNT $hk $hk*",
    "PFCOUNT $hk",
    "PFMERGE $hk $hk*",
    "PFDEBUG $pfd $hk",
    "SETRANGE $hk $r $v",
    "GET $hk",
    "$v $v*",
    "NOSUCH$v $v*",
    "EVAL $body 1 $k $v",
];

pub struct Generator {
    random: Xoshiro256PlusPlus,
    theme: &'static Family,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let theme = FAMILIES[seed as usize % FAMILIES.len()];
        Self { random, theme }
    }

    pub fn sequence(&mut self, length: usize) -> Vec<Request> {
        let mut requests = Vec::new();
        for _ in 0..length {
            let request = self.request();
            // A key that is past its expiry is looked at, so that both servers drop it now.
            let looked_at = expires(&request.words).then(|| Request {
                // In the same transaction, if there is one.
                connection: request.connection,
                words: vec![b"EXISTS".to_vec(), request.words[1].clone()],
            });
            // SORT of Redis 7.0 takes a range error (`errno`) of an earlier command for its own;
            // reading a cursor clears it.
            let clears = request.words[0].to_ascii_lowercase().starts_with(b"sort");
            requests.extend(clears.then(|| Request {
                connection: request.connection,
                words: vec![b"SCAN".to_vec(), b"0".to_vec()],
            }));
            requests.push(request);
            requests.extend(looked_at);
        }
        requests
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.random.next_u64() % limit as u64) as usize
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn request(&mut self) -> Request {
        Request {
            words: self.words(),
            connection: self.below(CONNECTIONS),
        }
    }

    /// The words of a random request.
    pub fn words(&mut self) -> Vec<Vec<u8>> {
        let template = match self.below(2) {
            0 => self.pick(self.theme.templates),
            _ => self.pick(TEMPLATES),
        };
        let mut words = Vec::new();
        for word in template.split(' ') {
            self.expand(word, &mut words);
        }
        if template.starts_with('$') && expires(&words) {
            // Any number may stand where the expiry does.
            words.truncate(2);
        }
        self.mutate(&mut words);
        // A count that only Redis 7.0 takes leaves another list there.
        let least = i64::MIN.to_string();
        if words[0].eq_ignore_ascii_case(b"LREM") && words.get(2) == Some(&least.into_bytes()) {
            words[2] = b"-1".to_vec();
        }
        words
    }

    /// Appends what a word of a template stands for.
    fn expand(&mut self, word: &str, words: &mut Vec<Vec<u8>>) {
        if let Some(repeated) = word.strip_suffix('*').filter(|word| word.starts_with('$')) {
            for _ in 0..self.below(4) {
                self.expand(repeated, words);
            }
            return;
        }
        let Some(name) = word.strip_prefix('$') else {
            return words.push(word.as_bytes().to_vec());
        };
        let text = match name {
            "k" => return words.push(latin(self.pick(KEYS))),
            "v" => return words.push(self.value()),
            "i" => return words.push(latin(self.pick(INTEGERS))),
            "r" => return words.push(latin(self.pick(OFFSETS))),
            "s" => return words.push(latin(self.pick(POSITIONS))),
            "x" => return words.push(latin(self.pick(EXPIRIES))),
            "t" => return words.push(latin(self.pick(TIMES))),
            "f" => return words.push(latin(self.pick(FLOATS))),
            "p" => return words.push(latin(self.pick(PATTERNS))),
            "body" => return words.push(self.body().into_bytes()),
            "library" => return words.push(self.library().into_bytes()),
            "copy" => self.pick(&["REPLACE", "DB 0", "DB 1", "DB $i", "DB", "replace", "$v"]),
            "restore" => self.pick(RESTORE_OPTIONS),
            "bk" => self.pick(BITMAP_KEYS),
            "hk" => self.pick(HYPERLOGLOG_KEYS),
            "bit" => self.pick(BIT_OFFSETS),
            "on" => self.pick(&["0", "1", "0", "1", "2", "-1", "x"]),
            "unit" => self.pick(&["BIT", "BYTE", "bit", "x"]),
            "bop" => self.pick(&["AND", "OR", "XOR", "NOT", "and", "x"]),
            "bf" => self.pick(BITFIELD_OPERATIONS),
            "pfd" => self.pick(&["GETREG", "DECODE", "ENCODING", "TODENSE", "encoding", "x"]),
            "bt" => self.pick(BITFIELD_TYPES),
            "z" => self.pick(&["0", "1", "-1", "x", "9223372036854775807"]),
            "set" => self.pick(SET_OPTIONS),
            "getex" => self.pick(GETEX_OPTIONS),
            "exp" => self.pick(EXPIRE_OPTIONS),
            "lcs" => self.pick(LCS_OPTIONS),
            "scan" => self.pick(SCAN_OPTIONS),
            "flush" => self.pick(FLUSH_OPTIONS),
            "obj" => self.pick(OBJECT_WORDS),
            "hello" => self.pick(HELLO_OPTIONS),
            "client" => self.pick(CLIENT_WORDS),
            "conf" => self.pick(CONFIG_WORDS),
            "cmd" => self.pick(COMMANDS),
            of_family => {
                let word = self.pick(words_of(of_family).expect(of_family));
                if WHOLE.contains(&of_family) {
                    return words.push(latin(word));
                }
                word
            }
        };
        for word in text.split(' ') {
            self.expand(word, words);
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(20) {
            0 => "x".repeat(self.below(300)).into_bytes(),
            1 => (0..self.below(20)).map(|_| self.below(256) as u8).collect(),
            _ => latin(self.pick(VALUES)),
        }
    }

    /// Now and then a word too many, too few or in other case.
    fn mutate(&mut self, words: &mut Vec<Vec<u8>>) {
        // Ranges of members are only told for equal scores.
        if words.get(1).is_some_and(|key| key == b"lex") {
            return;
        }
        // Their option is new in Redis 7.2.
        if [&b"ZRANK"[..], b"ZREVRANK"].contains(&words[0].as_slice()) {
            return;
        }
        // Without a pattern to sort by, the order is that of a hash table.
        if words[0].to_ascii_lowercase().starts_with(b"sort") {
            return;
        }
        // Another count might pop some members of many.
        // Redis 7.0 takes a name from a HELLO that it then refuses; 7.2 does not.
        // Scripts are long, and their errors quote where they stand.
        if words[0].starts_with(b"EVAL")
            || words[0] == b"FUNCTION"
            || words[0] == b"HELLO"
            || blocks(words)
            || words[0] == b"SPOP"
        {
            return;
        }
        // No expiry may be so short that it runs out while the sequence runs.
        let expires = expires(words);
        match self.below(30) {
            0 if words.len() > 1 => drop(words.pop()),
            1 if !expires => {
                let value = self.value();
                words.push(value);
            }
            2 | 3 => words[0].make_ascii_lowercase(),
            4 if words.len() > 2 && !expires => {
                let at = 1 + self.below(words.len() - 1);
                words[at] = self.value();
            }
            _ => {}
        }
    }
}

/// Characters up to 255 as one byte each, so that the lists above can hold any byte.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

/// Another timeout, or another position of it, might be for ever.
/// Whether other arguments could make it wait for ever.
fn blocks(words: &[Vec<u8>]) -> bool {
    words[0] == b"WAIT" || words[0].starts_with(b"B") && !words[0].starts_with(b"BIT")
}

fn expires(words: &[Vec<u8>]) -> bool {
    let name = words[0].to_ascii_lowercase();
    let names: [&[u8]; 9] = [
        b"set",
        b"setex",
        b"psetex",
        b"getex",
        b"expire",
        b"pexpire",
        b"expireat",
        b"pexpireat",
        b"rename",
    ];
    words.len() > 1 && names.contains(&name.as_slice())
}
