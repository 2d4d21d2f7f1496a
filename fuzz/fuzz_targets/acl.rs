#![no_main]
//! ACL rules and files: no text makes them panic, a user describes itself in rules that make the
//! same user again, and a file that was taken reads again as it was written.

use kv_node::acl::{Acl, User, file, rules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(users) = file::parse("acl", bytes, false) {
        let mut acl = Acl::default();
        acl.replace_users(users);
        let text = file::write(&acl);
        let again = file::parse("acl", &text, false).expect("what was written reads again");
        for user in again {
            assert_eq!(acl.user(&user.name).map(|known| &**known), Some(&user));
        }
    }
    let words: Vec<&[u8]> = bytes.split(|&byte| byte == b' ').collect();
    let Ok(merged) = rules::merge_selectors(&words) else {
        return;
    };
    let mut user = User::new(b"alice", false);
    for rule in &merged {
        // A rule that is refused changes nothing.
        let before = user.clone();
        if user.apply(rule, false).is_err() {
            assert_eq!(user, before);
        }
    }
    assert_eq!(User::restore(b"alice", &user.describe()), Some(user));
    assert_eq!(
        rules::unescape(&rules::escape(bytes)).as_deref(),
        Some(bytes)
    );
});
