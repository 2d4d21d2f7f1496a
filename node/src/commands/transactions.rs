//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use super::Group::Transactions;
use super::flag::{ALLOW_BUSY, FAST, IN_MULTI_AT_ONCE, LOADING, NO_SCRIPT, SKIP_SLOWLOG, STALE};
use super::{Command, command};
use crate::execute::session::{Executing, Transaction, bounded};
use crate::execute::view::Refusal;
use crate::execute::{Context, Outcome};
use protocol::resp::ReplyWriter;

const USUAL: u32 = NO_SCRIPT | LOADING | STALE;

pub const COMMANDS: &[Command] = &[
    command(
        "multi",
        1,
        Transactions,
        "1.2.0",
        "Starts a transaction.",
        multi,
    )
    .flags(USUAL | FAST | IN_MULTI_AT_ONCE | ALLOW_BUSY),
    command(
        "exec",
        1,
        Transactions,
        "1.2.0",
        "Executes a transaction.",
        exec,
    )
    .flags(USUAL | IN_MULTI_AT_ONCE | SKIP_SLOWLOG),
    command(
        "discard",
        1,
        Transactions,
        "2.0.0",
        "Discards a transaction.",
        discard,
    )
    .flags(USUAL | FAST | IN_MULTI_AT_ONCE | ALLOW_BUSY),
    command(
        "watch",
        -2,
        Transactions,
        "2.2.0",
        "Makes a transaction depend on keys.",
        watch,
    )
    .key_flags("RO")
    .syntax("key...")
    .flags(USUAL | FAST | IN_MULTI_AT_ONCE | ALLOW_BUSY)
    .key_range(1, -1, 1),
    command(
        "unwatch",
        1,
        Transactions,
        "2.2.0",
        "Forgets watched keys.",
        |context, _| {
            context.forget_watched();
            context.reply.ok();
        },
    )
    .flags(USUAL | FAST | ALLOW_BUSY),
];

fn multi(context: &mut Context, _arguments: &[&[u8]]) {
    if context.session.transaction.is_some() {
        return context.reply.error("ERR MULTI calls can not be nested");
    }
    context.session.transaction = Some(Transaction::default());
    context.reply.ok();
}

fn discard(context: &mut Context, _arguments: &[&[u8]]) {
    if context.session.transaction.is_none() {
        return context.reply.error("ERR DISCARD without MULTI");
    }
    context.discard_transaction();
    context.reply.ok();
}

fn watch(context: &mut Context, arguments: &[&[u8]]) {
    if context.session.transaction.is_some() {
        return context.reply.error("ERR WATCH inside MULTI is not allowed");
    }
    for key in &arguments[1..] {
        context.watch(key);
    }
    context.reply.ok();
}

fn exec(context: &mut Context, _arguments: &[&[u8]]) {
    let Some(transaction) = context.session.transaction.take() else {
        return context.reply.error("ERR EXEC without MULTI");
    };
    if transaction.failed {
        context.forget_watched();
        return context
            .reply
            .error("EXECABORT Transaction discarded because of previous errors.");
    }
    // Slots, roles and memory may have changed since the commands were queued.
    match context.recheck(&transaction) {
        Ok(()) => {}
        Err(Refusal::Frozen) => {
            context.session.transaction = Some(transaction);
            context.outcome = Outcome::Frozen;
            return;
        }
        Err(refusal) => {
            context.forget_watched();
            let text = match refusal {
                // The client is to go elsewhere, as with a single command.
                Refusal::Moved { .. }
                | Refusal::CrossSlot
                | Refusal::SlotNotServed
                | Refusal::ClusterDown => refusal.to_string(),
                refusal => refusal.as_abort(),
            };
            return context.reply.error(&text);
        }
    }
    let dirty = context.watched_have_changed();
    context.forget_watched();
    if dirty {
        return context.reply.null_array();
    }
    run_queued(context, transaction);
}

fn run_queued(context: &mut Context, transaction: Transaction) {
    let start = context.reply.position();
    context.reply.array(transaction.commands.len());
    let first_effect = context.engine.effects.len();
    context.engine.in_transaction = true;
    let mut executing = Executing::of(&transaction);
    for (command, arguments) in transaction.commands {
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let now_ms = context.now_ms;
        if let Err(denial) = context.permitted_still(command, &arguments) {
            let reason = denial.in_transaction();
            context.reply.error(&format!(
                "NOPERM ACLs rules changed between the moment the transaction was accumulated and \
                 the EXEC call. This command is no longer allowed for the following reason: \
                 {reason}"
            ));
            continue;
        }
        executing.replied = bounded(context.reply.position() - start);
        context.engine.note_executing(Some(executing));
        let mut out = Vec::new();
        let reply = ReplyWriter::new(&mut out, context.session.protocol);
        let outcome = context
            .engine
            .run(command, context.session, &arguments, now_ms, reply);
        context.reply.raw(&out);
        context.settle(&outcome);
    }
    context.engine.note_executing(None);
    context.engine.in_transaction = false;
    context.make_atomic(first_effect);
}

impl Context<'_> {
    /// What a command within a transaction wanted done outside.
    fn settle(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Replied => {}
            // Nothing blocks within a transaction: WAIT answers what is so now.
            Outcome::Wait { wait, .. } => {
                wait.write_reply(&mut self.reply, self.engine.view.reached());
            }
            Outcome::Close => self.outcome = Outcome::Close,
            Outcome::Shutdown => self.outcome = Outcome::Shutdown,
            Outcome::Frozen
            | Outcome::Block { .. }
            | Outcome::Admin(_)
            | Outcome::Mirror(_)
            | Outcome::AclFile(_) => {
                self.reply
                    .error("ERR Command not allowed inside a transaction");
            }
        }
    }
}
