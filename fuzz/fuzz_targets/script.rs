//! Any text is a script: it runs to a reply, within its memory and its time.

#![no_main]

use kv_node::execute::Engine;
use kv_node::execute::config::Config;
use kv_node::execute::session::Session;
use kv_node::script::{Interrupt, MEMORY_BYTES_MAX};
use libfuzzer_sys::fuzz_target;
use protocol::status::Role;

/// How often a script is allowed to go on.
const TURNS_MAX: usize = 20;

fuzz_target!(|text: &[u8]| {
    let mut engine = Engine::new(1, Config::default());
    engine.view.role = Role::Standalone;
    let mut turns = 0;
    engine.interrupt = Some(Box::new(move |_, _| {
        turns += 1;
        if turns < TURNS_MAX {
            Interrupt::Continue
        } else {
            Interrupt::Kill
        }
    }));
    let session = engine.sessions.open(|id| {
        let mut session = Session::new(id, String::new(), String::new(), 0);
        session.authenticated = true;
        session
    });
    let mut out = Vec::new();
    let request: [&[u8]; 6] = [b"EVAL", text, b"1", b"key", b"1", b"two"];
    engine.execute(session, &request, 1_000_000, &mut out);
    assert!(!out.is_empty(), "a script without a reply");
    assert!(engine.scripts.used_bytes() <= MEMORY_BYTES_MAX as u64);
});
