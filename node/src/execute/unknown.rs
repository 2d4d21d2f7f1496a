//! The error for a command that is not in the table, worded as Redis words it.

use crate::commands::CommandTable;

/// Longest part of an unknown command that its error quotes.
const QUOTED_BYTES_MAX: usize = 128;

pub(super) fn unknown_command(commands: CommandTable, name: &[u8], rest: &[&[u8]]) -> Vec<u8> {
    // Like C, a quotation ends at a NUL.
    let quoted = |bytes: &[u8], max: usize| -> Vec<u8> {
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        text[..text.len().min(max)].to_vec()
    };
    let name_shown = quoted(name, QUOTED_BYTES_MAX);
    if commands.has_subcommands(name) {
        let sub = rest
            .first()
            .map(|sub| quoted(sub, QUOTED_BYTES_MAX))
            .unwrap_or_default();
        let upper = name_shown.to_ascii_uppercase();
        return [
            &b"ERR unknown subcommand '"[..],
            &sub,
            b"'. Try ",
            &upper,
            b" HELP.",
        ]
        .concat();
    }
    let mut list = Vec::new();
    for argument in rest {
        if list.len() >= QUOTED_BYTES_MAX {
            break;
        }
        let argument = quoted(argument, QUOTED_BYTES_MAX - list.len());
        list.extend([b"'", &argument[..], b"' "].concat());
    }
    let begin = b"ERR unknown command '";
    [
        &begin[..],
        &name_shown,
        b"', with args beginning with: ",
        &list,
    ]
    .concat()
}
