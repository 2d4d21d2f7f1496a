//! Rules make users, users describe themselves, and calls are permitted or not.

use super::*;
use crate::commands::CommandTable;

fn made(rules: &str) -> User {
    let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    let rules = rules::merge_selectors(&words).unwrap();
    Acl::default().changed(b"alice", &rules, false).unwrap()
}

fn described(rules: &str) -> String {
    String::from_utf8(made(rules).describe()).unwrap()
}

#[track_caller]
fn check(rules: &str, request: &str, expect: Result<(), (Reason, usize)>) {
    let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    let command = CommandTable.find(&words).unwrap();
    let permitted = made(rules).permits(command, &words);
    let permitted = permitted.map_err(|denial| (denial.reason, denial.position));
    assert_eq!(permitted, expect, "{rules}: {request}");
}

#[test]
fn a_description_makes_the_same_user_again() {
    for rules in [
        "on",
        "on nopass allkeys allchannels +@all",
        ">a >b <a ~x %R~y %W~y %R~z &c* +get +config|get -@dangerous +select|0",
        "(+get ~a) (%RW~b -@all +set &x) skip-sanitize-payload",
        "+@all -@hash +get -get",
    ] {
        let user = made(rules);
        let again = User::restore(b"alice", &user.describe()).unwrap();
        assert_eq!(user, again, "{rules}");
    }
}

#[test]
fn descriptions_are_in_the_words_of_redis() {
    let check = |rules: &str, expect: &str| assert_eq!(described(rules), expect, "{rules}");
    check("on", "on sanitize-payload resetchannels -@all");
    check(
        "nopass ~* &* +@all",
        "off nopass sanitize-payload ~* &* +@all",
    );
    check(
        "%R~a %W~a %W~b ~c (+get)",
        "off sanitize-payload ~a %W~b ~c resetchannels -@all (resetchannels -@all +get)",
    );
    check(
        "#5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
        "off sanitize-payload #5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8 \
         resetchannels -@all",
    );
}

#[test]
fn rules_on_commands_take_the_place_of_those_they_override() {
    let check = |rules: &str, expect: &str| {
        let shown = made(rules).root.describe_commands();
        assert_eq!(String::from_utf8_lossy(&shown), expect, "{rules}");
    };
    check(
        "+@all -@hash -@slow +get -@hash",
        "+@all -@slow +get -@hash",
    );
    check("+@all -@slow +@slow -@all", "-@all");
    check("+GET +get +gEt", "-@all +get");
    check(
        "+client|list +client|list +config|get +config +command|info -command",
        "-@all +client|list +config -command",
    );
    check("+select|0 +select|0 +select", "-@all +select");
    check("+@HASH +@slow +@hash", "-@all +@slow +@hash");
}

#[test]
fn wrong_rules_are_refused() {
    let check = |rules: &str, expect: RuleError| {
        let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        let rules = rules::merge_selectors(&words).unwrap();
        let made = Acl::default().changed(b"alice", &rules, false);
        assert_eq!(made.map_err(|(_, error)| error), Err(expect), "{words:?}");
    };
    check("nosuch", RuleError::Syntax);
    check("+nosuch", RuleError::UnknownCommand);
    check("+@nosuch", RuleError::UnknownCommand);
    check("+config|nosuch", RuleError::UnknownCommand);
    check("+get|", RuleError::Syntax);
    check("+config|get|x", RuleError::FirstArgumentOfSubcommand);
    check("-select|0", RuleError::UnknownCommand);
    check("~* ~a", RuleError::KeysAfterAll);
    check("&* &a", RuleError::ChannelsAfterAll);
    check("<nosuch", RuleError::NoSuchPassword);
    check("#12", RuleError::MalformedHash);
    check("%~a", RuleError::Syntax);
    check("%RR~a", RuleError::Syntax);
    check("%X~a", RuleError::Syntax);
    check("(+get nosuch)", RuleError::Syntax);
    check("(on)", RuleError::Syntax);
}

#[test]
fn a_call_needs_the_command_and_each_key_as_it_is_used() {
    check("+get ~a", "get a", Ok(()));
    check("+get ~a", "get b", Err((Reason::Key, 1)));
    check("~a", "get a", Err((Reason::Command, 0)));
    check("+@all %R~a %W~b", "get a", Ok(()));
    check("+@all %R~a %W~b", "get b", Err((Reason::Key, 1)));
    check("+@all %R~a %W~b", "set b 1", Ok(()));
    check("+@all %R~a %W~b", "set b 1 get", Err((Reason::Key, 1)));
    check("+@all %R~a %W~b", "mset b 1 a 2", Err((Reason::Key, 3)));
    check("+@all %R~a", "exists a", Ok(()));
    check("+config|get", "config get a", Ok(()));
    check("+config|get", "config set a b", Err((Reason::Command, 0)));
    check("+select|0", "select 0", Ok(()));
    check("+select|0", "select 1", Err((Reason::Command, 0)));
    check("+select|0 -select", "select 0", Err((Reason::Command, 0)));
    check("+@all -@all", "auth x", Ok(()));
}

#[test]
fn any_selector_suffices_and_the_worst_denial_is_told() {
    let rules = "+get ~a (+set ~b) (+@all -set ~c)";
    check(rules, "get a", Ok(()));
    check(rules, "set b 1", Ok(()));
    check(rules, "set a 1", Err((Reason::Key, 1)));
    check(rules, "get c", Ok(()));
    check(
        "(+mget ~a ~b) (+mget ~a)",
        "mget a b c",
        Err((Reason::Key, 3)),
    );
}

#[test]
fn passwords_are_compared_by_their_hash() {
    let user = made("on >one >two");
    assert!(user.accepts(b"one") && user.accepts(b"two") && !user.accepts(b"three"));
    assert!(!made("off >one").accepts(b"one"));
    assert!(made("on nopass").accepts(b"anything"));
    assert!(!made("on nopass >one").accepts(b"two"));
    assert!(!format!("{user:?}").contains("one"));
}

#[test]
fn a_file_is_taken_whole_or_not_at_all() {
    let error = |text: &str| file::parse("f", text.as_bytes(), false).unwrap_err();
    assert!(error("user a on\n\nuser b +nosuch").starts_with(
        "f:3: Error in applying operation '+nosuch': Unknown command or category name in ACL. \
         WARNING: ACL errors detected"
    ));
    assert!(error("alice on").starts_with("f:1 should start with user keyword"));
    assert!(error("user a on\nuser a off").contains("Duplicate user 'a' found on line 2."));
    assert!(error("user a (+get").contains("f:1: Unmatched parenthesis"));
    assert!(error("user a >secret nosuch").contains("f:1: Syntax error. "));

    let mut acl = Acl::default();
    acl.put(made("on"));
    let users = file::parse("f", b"user bob on >x ~a (+get ~b)\r\n", false).unwrap();
    assert_eq!(acl.replace_users(users), [b"alice".to_vec()]);
    let text = file::write(&acl);
    let again = file::parse("f", &text, false).unwrap();
    let described: Vec<Vec<u8>> = again.iter().map(User::describe).collect();
    let known: Vec<Vec<u8>> = acl.users().map(|user| user.describe()).collect();
    assert_eq!(described, known);
}

#[test]
fn generated_passwords_are_as_long_as_asked_and_differ() {
    let mut acl = Acl::default();
    assert_eq!(acl.generate_password(5).len(), 2);
    let (one, two) = (acl.generate_password(4096), acl.generate_password(4096));
    assert_eq!((one.len(), two.len()), (1024, 1024));
    assert_ne!(one, two);
}

#[test]
fn a_first_argument_may_be_any_bytes() {
    let mut user = User::new(b"alice", false);
    user.apply(b"+rename|\xffna", false).unwrap();
    assert!(user.describe().ends_with(b" +rename|\xffna"));
    assert_eq!(User::restore(b"alice", &user.describe()), Some(user));
}
