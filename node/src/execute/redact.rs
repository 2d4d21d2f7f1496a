//! Arguments that are nobody's business: what `MONITOR` and the logs of commands leave out.

use crate::commands::Command;

/// What is shown instead.
pub const REDACTED: &[u8] = b"(redacted)";

/// Options whose values are secret.
const SECRET_OPTIONS: [&[u8]; 7] = [
    b"masterauth",
    b"masteruser",
    b"requirepass",
    b"primaryauth",
    b"primaryuser",
    b"tls-key-file-pass",
    b"tls-client-key-file-pass",
];

/// Whether an argument is a name or password of a user.
pub fn is_secret(command: &Command, arguments: &[&[u8]], at: usize) -> bool {
    let word = |back: usize| at.checked_sub(back).and_then(|at| arguments.get(at));
    let after =
        |back: usize, name: &[u8]| word(back).is_some_and(|word| word.eq_ignore_ascii_case(name));
    match command.name {
        "auth" => at > 0,
        "hello" => at > 2 && (after(1, b"auth") || after(2, b"auth")),
        "acl|setuser" | "acl|deluser" | "acl|getuser" => at > 1,
        "config|set" => at > 2 && at % 2 == 1 && SECRET_OPTIONS.iter().any(|name| after(1, name)),
        "migrate" => at > 6 && (after(1, b"auth") || after(1, b"auth2") || after(2, b"auth2")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::CommandTable;

    #[test]
    fn secrets_are_found_among_the_arguments() {
        let check = |request: &str, expect: &[usize]| {
            let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
            let command = CommandTable.find(&words).unwrap();
            let found: Vec<usize> = (0..words.len())
                .filter(|at| is_secret(command, &words, *at))
                .collect();
            assert_eq!(found, expect, "{request}");
        };
        check("AUTH user password", &[1, 2]);
        check("HELLO 3 AUTH user password SETNAME x", &[3, 4]);
        check("ACL SETUSER user >password", &[2, 3]);
        check("CONFIG SET requirepass x maxmemory 0 masterauth y", &[3, 7]);
        check("CONFIG GET requirepass", &[]);
        check("MIGRATE host 1 key 0 9 AUTH x", &[7]);
        check("MIGRATE host 1 key 0 9 AUTH2 x y KEYS z", &[7, 8]);
        check("SET auth x", &[]);
    }
}
