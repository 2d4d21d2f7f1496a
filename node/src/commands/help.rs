//! HELP, which every container has.

use super::{Command, CommandTable};
use crate::execute::Context;

/// `HELP` of a container: its subcommands with their summaries.
pub fn help(context: &mut Context, arguments: &[&[u8]]) {
    let container = CommandTable.by_name(&arguments[..1]);
    let (name, rows) = container.map_or(("", &[][..]), |row| (row.name, row.subcommands));
    let rows: Vec<&Command> = rows.iter().filter(|row| row.is_callable()).collect();
    context.reply.array(1 + 2 * rows.len());
    let name = name.to_ascii_uppercase();
    context.reply.simple(&format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for row in rows {
        let (_, sub) = row.name.split_once('|').unwrap_or_default();
        context.reply.simple(&sub.to_ascii_uppercase());
        context.reply.simple(&format!("    {}", row.summary));
    }
}
