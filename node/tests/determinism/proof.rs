//! Runs an example and proves that its data is the same elsewhere.
//!
//! An example is a line of steps parted by `|`. A step is a request, of the first client unless it
//! begins with a number and a colon; or `+<milliseconds>`, that time passes; or `expire`, that what
//! has expired is removed; or `evict`, that room is made. Words are split at spaces that are not in
//! single quotes; `\xNN` is a byte, `{dump:key}` what `DUMP key` answers, `{x:300}` 300 times the
//! letter, `{one}`, `{newer}` and `{other}` libraries of functions and `{payload}` one as
//! `FUNCTION DUMP` gives it. A step with `!` in front is answered with an error.

use super::shard::{Shard, State, state_of};
use kv_node::commands::CommandTable;
use kv_node::rdb::dump_functions;
use protocol::resp::Reply;

const ONE: &str = "#!lua name=one
redis.register_function('set', function(k, a) return redis.call('SET', k[1], a[1]) end)";

/// Under the same name.
const NEWER: &str = "#!lua name=one
redis.register_function('set', function(k, a) return redis.call('SET', k[1], 'x') end)";

const OTHER: &str = "#!lua name=other
redis.register_function{function_name='read', callback=function() end, flags={'no-writes'}}";

/// Runs the steps; gives the state at the end, or where the same state did not come about. Replicas
/// are compared after each step, or (which is faster) at the end only.
pub fn run(script: &str, seed: u64, each: bool) -> Result<State, String> {
    let mut shard = Shard::new(seed);
    let differs = |what: &str, found: &State, state: &State| {
        Err(format!("{what} of: {script}\n{found:?}\n{state:?}"))
    };
    let steps: Vec<&str> = script.split('|').map(str::trim).collect();
    for (index, step) in steps.iter().enumerate() {
        take_step(&mut shard, step, None);
        shard
            .replicate()
            .map_err(|error| format!("{error} after `{step}` of: {script}"))?;
        if index + 1 < steps.len() && !each {
            continue;
        }
        let state = state_of(&shard.engine);
        for replayed in shard.of_replicas() {
            if replayed != state {
                return differs(&format!("replay after `{step}`"), &replayed, &state);
            }
        }
    }
    let state = state_of(&shard.engine);
    let reloaded = shard.reloaded();
    if reloaded != state {
        return differs("base", &reloaded, &state);
    }
    let migrated = shard.migrated();
    let migrated = migrated.map_err(|error| format!("{error} migrating: {script}"))?;
    if migrated != state {
        return differs("migration", &migrated, &state);
    }
    Ok(state)
}

/// The state at the end when the steps of a command are left out.
pub fn run_without(script: &str, seed: u64, left_out: &str) -> State {
    let mut shard = Shard::new(seed);
    for step in script.split('|').map(str::trim) {
        take_step(&mut shard, step, Some(left_out));
    }
    state_of(&shard.engine)
}

fn take_step(shard: &mut Shard, step: &str, without: Option<&str>) {
    if without == Some(step) {
        return;
    }
    match step {
        "expire" => return shard.expire(),
        "evict" => return shard.make_room(),
        _ => {}
    }
    if let Some(milliseconds) = step.strip_prefix('+') {
        return shard.pass_ms(milliseconds.parse().unwrap());
    }
    let numbered = step
        .split_once(':')
        .and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)));
    let (client, request) = numbered.unwrap_or((1, step));
    let refused = request.starts_with('!');
    let request = request.trim_start_matches('!');
    let words: Vec<Vec<u8>> = split(request)
        .iter()
        .map(|word| expanded(shard, client, word))
        .collect();
    let borrowed: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let command = CommandTable.find(&borrowed).expect(request);
    if without == Some(command.name) {
        return;
    }
    let reply = shard.call(client, &words);
    let failed = matches!(&reply, Some(Reply::Error(_)));
    // What was left out may be what others build on.
    assert!(
        failed == refused || without.is_some(),
        "{request}: {reply:?}"
    );
}

fn split(request: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in request.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' | '\n' if !quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words
}

fn expanded(shard: &mut Shard, client: usize, word: &str) -> Vec<u8> {
    let Some(special) = word.strip_prefix('{').and_then(|w| w.strip_suffix('}')) else {
        return unescaped(word);
    };
    match special.split_once(':').unwrap_or((special, "")) {
        ("dump", key) => {
            let reply = shard.call(client, &[b"DUMP".to_vec(), key.as_bytes().to_vec()]);
            reply.unwrap().as_bytes().unwrap_or_default().to_vec()
        }
        ("one", _) => ONE.into(),
        ("newer", _) => NEWER.into(),
        ("other", _) => OTHER.into(),
        ("payload", _) => dump_functions([ONE.as_bytes()].into_iter()),
        (letter, count) => letter.repeat(count.parse().expect(word)).into_bytes(),
    }
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
        rest = &after[2..];
    }
    bytes.extend(rest.as_bytes());
    bytes
}
