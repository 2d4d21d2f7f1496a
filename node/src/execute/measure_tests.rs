//! Claims on what is measured and logged of commands.

use super::Engine;
use super::config::Config;
use super::session::{Session, SessionId};
use protocol::status::Role;
use std::cell::Cell;
use std::rc::Rc;

const NOW_MS: u64 = 1_700_000_000_000;

/// An engine whose clock goes on by `step_ns` whenever it is looked at.
struct Measured {
    engine: Engine,
    session: SessionId,
    step_ns: Rc<Cell<u64>>,
}

impl Measured {
    fn new() -> Self {
        let mut engine = Engine::new(1, Config::default());
        engine.view.role = Role::Standalone;
        let session = engine.sessions.open(|id| {
            let mut session = Session::new(id, "1.2.3.4:5".into(), String::new(), NOW_MS);
            session.authenticated = true;
            session
        });
        let (step_ns, time_ns) = (Rc::new(Cell::new(1000)), Cell::new(1));
        let step = Rc::clone(&step_ns);
        engine.timing.set_clock(Box::new(move || {
            time_ns.set(time_ns.get() + step.get());
            time_ns.get()
        }));
        Self {
            engine,
            session,
            step_ns,
        }
    }

    fn run(&mut self, request: &str) -> String {
        let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        self.run_words(&words)
    }

    fn run_words(&mut self, words: &[&[u8]]) -> String {
        let mut out = Vec::new();
        self.engine.execute(self.session, words, NOW_MS, &mut out);
        String::from_utf8_lossy(&out).replace("\r\n", " ")
    }

    fn info(&mut self, section: &str, line: &str) -> String {
        let text = self.run(&format!("INFO {section}"));
        let found = text.split(' ').find(|word| word.starts_with(line));
        found.unwrap_or_default().to_owned()
    }
}

#[test]
fn commands_are_counted_with_their_time_refusals_and_failures() {
    let mut measured = Measured::new();
    measured.step_ns.set(1500);
    measured.run("SET a 1");
    measured.run("SET a 2");
    measured.run("SET a");
    measured.run("LPUSH a x");
    assert_eq!(
        measured.info("commandstats", "cmdstat_set:"),
        "cmdstat_set:calls=2,usec=3,usec_per_call=1.50,rejected_calls=1,failed_calls=0"
    );
    assert!(
        measured
            .info("commandstats", "cmdstat_lpush:")
            .ends_with("rejected_calls=0,failed_calls=1")
    );
    assert_eq!(
        measured.info("latencystats", "latency_percentiles_usec_set:"),
        "latency_percentiles_usec_set:p50=1.503,p99=1.503,p99.9=1.503"
    );
    measured.run("CONFIG SET latency-tracking no");
    measured.run("CONFIG RESETSTAT");
    measured.run("SET a 3");
    assert_eq!(
        measured.info("latencystats", "latency_percentiles_usec_set:"),
        ""
    );
}

#[test]
fn an_error_is_counted_once_where_it_arises() {
    let mut measured = Measured::new();
    measured.run("SET a 1");
    let check = |measured: &mut Measured, request: &[&[u8]], errors: u64| {
        measured.run("CONFIG RESETSTAT");
        let reply = measured.run_words(request);
        assert_eq!(measured.engine.stats.error_replies, errors, "{reply}");
    };
    check(&mut measured, &[b"NOPE"], 1);
    check(&mut measured, &[b"GET"], 1);
    check(
        &mut measured,
        &[b"EVAL", b"return redis.call('lpush', 'a', 1)", b"0"],
        1,
    );
    check(
        &mut measured,
        &[b"EVAL", b"redis.pcall('lpush', 'a', 1)", b"0"],
        1,
    );
    check(&mut measured, &[b"EVAL", b"redis.pcall('lpush')", b"0"], 1);
    check(
        &mut measured,
        &[b"EVAL", b"return redis.error_reply('MINE x')", b"0"],
        1,
    );
}

#[test]
fn a_client_that_waits_is_counted_when_it_is_served() {
    let mut measured = Measured::new();
    assert_eq!(measured.run("BLPOP l 0"), "");
    assert_eq!(measured.info("commandstats", "cmdstat_blpop"), "");
    let other = measured.engine.sessions.open(|id| {
        let mut session = Session::new(id, String::new(), String::new(), NOW_MS);
        session.authenticated = true;
        session
    });
    let push: [&[u8]; 3] = [b"RPUSH", b"l", b"x"];
    measured
        .engine
        .execute(other, &push, NOW_MS, &mut Vec::new());
    assert!(
        measured
            .info("commandstats", "cmdstat_blpop:")
            .contains("calls=1,")
    );
}

#[test]
fn slow_commands_are_logged_without_secrets_and_shortened() {
    let mut measured = Measured::new();
    measured.step_ns.set(20_000_000);
    measured.run("ACL SETUSER u >secret");
    let long = "x".repeat(130);
    measured.run(&format!("SET a {long}"));
    measured.run(&format!("DEL{}", " k".repeat(40)));
    measured.step_ns.set(1000);
    let log = measured.run("SLOWLOG GET");
    assert!(
        log.contains("(redacted)") && !log.contains("secret"),
        "{log}"
    );
    assert!(log.contains("... (2 more bytes)"), "{log}");
    assert!(log.contains("... (10 more arguments)"), "{log}");
    assert!(log.contains(":20000 "), "{log}");
    assert_eq!(measured.run("SLOWLOG LEN"), ":3 ");
    measured.run("SLOWLOG RESET");
    assert_eq!(measured.run("SLOWLOG LEN"), ":0 ");
    assert!(
        measured
            .run("SLOWLOG GET -2")
            .starts_with("-ERR count should be greater")
    );
}

#[test]
fn large_requests_and_replies_have_logs_of_their_own() {
    let mut measured = Measured::new();
    measured.run("CONFIG SET commandlog-request-larger-than 500 commandlog-reply-larger-than 500");
    let long = "x".repeat(500);
    measured.run(&format!("SET a {long}"));
    measured.run("GET a");
    assert_eq!(measured.run("COMMANDLOG LEN large-request"), ":1 ");
    assert_eq!(measured.run("COMMANDLOG LEN large-reply"), ":1 ");
    assert_eq!(measured.run("COMMANDLOG LEN slow"), ":0 ");
    assert!(
        measured
            .run("COMMANDLOG GET -1 large-reply")
            .contains(" GET $1 a")
    );
    assert!(
        measured
            .run("COMMANDLOG LEN x")
            .starts_with("-ERR type should be")
    );
}

#[test]
fn what_takes_long_is_an_event_of_the_latency_monitor() {
    let mut measured = Measured::new();
    measured.run("CONFIG SET latency-monitor-threshold 10");
    measured.step_ns.set(15_000_000);
    measured.run("KEYS *");
    measured.step_ns.set(1000);
    let latest = measured.run("LATENCY LATEST");
    assert_eq!(latest, "*1 *4 $7 command :1700000000 :15 :15 ");
    assert_eq!(
        measured.run("LATENCY HISTORY command"),
        "*1 *2 :1700000000 :15 "
    );
    assert!(
        measured
            .run("LATENCY GRAPH command")
            .contains("command - high 15 ms, low 15 ms")
    );
    assert!(
        measured
            .run("LATENCY DOCTOR")
            .contains("command: 1 samples, 15 ms on average")
    );
    assert_eq!(measured.run("LATENCY RESET nope command"), ":1 ");
    assert_eq!(measured.run("LATENCY LATEST"), "*0 ");
}

#[test]
fn histograms_of_a_container_are_those_of_its_subcommands() {
    let mut measured = Measured::new();
    measured.run("CLIENT ID");
    measured.run("SET a 1");
    assert_eq!(
        measured.run("LATENCY HISTOGRAM client nope"),
        "*2 $9 client|id *4 $5 calls :1 $14 histogram_usec *2 :1 :1 "
    );
    assert!(measured.run("LATENCY HISTOGRAM").starts_with("*6 "));
}

#[test]
fn options_are_set_together_or_not_at_all() {
    let mut measured = Measured::new();
    let reply = measured.run("CONFIG SET maxmemory 1mb maxmemory-clients 200%");
    assert_eq!(
        reply,
        "-ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage \
         argument must be less or equal to 100 "
    );
    assert_eq!(measured.engine.config.maxmemory_bytes, 0);
    let immutable = measured.run("CONFIG SET daemonize no");
    assert!(
        immutable.ends_with("'daemonize') - can't set immutable config "),
        "{immutable}"
    );
    assert_eq!(measured.run("CONFIG SET port 0"), "+OK ");
    let save = measured.run("CONFIG SET save 3600");
    assert!(save.contains("nothing is kept on disk"), "{save}");
    measured.engine.view.facts.dir = Some("data".to_owned());
    let save = measured.run("CONFIG SET save 3600");
    assert!(save.contains("Invalid save parameters"), "{save}");
    assert_eq!(measured.run("CONFIG GET key-load*"), "*0 ");
    assert_eq!(
        measured.run("CONFIG GET key-load-delay"),
        "*2 $14 key-load-delay $1 0 "
    );
}

#[test]
fn writes_are_refused_without_the_replicas_that_are_wanted() {
    let mut measured = Measured::new();
    measured.run("CONFIG SET min-replicas-to-write 1");
    assert_eq!(
        measured.run("SET a 1"),
        "-NOREPLICAS Not enough good replicas to write. "
    );
    assert_eq!(measured.run("GET a"), "$-1 ");
    for (flags, expect) in [
        ("", "-NOREPLICAS Not enough good replicas to write. "),
        ("flags=no-writes", ":1 "),
    ] {
        let script = format!("#!lua {flags}\nreturn 1");
        assert_eq!(
            measured.run_words(&[b"EVAL", script.as_bytes(), b"0"]),
            expect
        );
    }
    measured.run("CONFIG SET min-slaves-to-write 0");
    assert_eq!(measured.run("SET a 1"), "+OK ");
}

#[test]
fn key_sizes_are_told_by_type_for_who_asks() {
    let mut measured = Measured::new();
    for request in [
        "SET a 1",
        "SET b 12345",
        "RPUSH l 1 2 3",
        "SADD s x",
        "HSET h f v",
    ] {
        measured.run(request);
    }
    let text = measured.run("INFO keysizes");
    assert!(
        text.contains("db0_distrib_strings_sizes:1=1,4=1 "),
        "{text}"
    );
    assert!(text.contains("db0_distrib_lists_items:2=1 "), "{text}");
    assert!(!measured.run("INFO everything").contains("Keysizes"));
}

#[test]
fn turns_of_the_executor_are_counted_with_their_time() {
    let mut measured = Measured::new();
    for took_ns in [1000, 4000] {
        measured.engine.timing.begin_run();
        measured.run("PING");
        measured.engine.timing.end_run();
        measured.engine.timing.note_turn(took_ns);
    }
    let most = "eventloop_duration_max:";
    assert_eq!(measured.info("debug", most), format!("{most}4"));
    let most = "eventloop_cmd_per_cycle_max:";
    assert_eq!(measured.info("debug", most), format!("{most}1"));
    measured.run("CONFIG RESETSTAT");
    assert_eq!(measured.info("debug", most), format!("{most}0"));
    let most = "eventloop_duration_max:";
    assert_eq!(measured.info("debug", most), format!("{most}0"));
    assert!(!measured.run("INFO everything").contains("# Debug"));
    assert_eq!(
        measured.info("stats", "eventloop_cycles:"),
        "eventloop_cycles:2"
    );
    let sum = "eventloop_duration_sum:";
    assert_eq!(measured.info("stats", sum), format!("{sum}5"));
    let sum = "eventloop_duration_cmd_sum:";
    assert_ne!(measured.info("stats", sum), format!("{sum}0"));
}

#[test]
fn a_pause_is_shown_while_it_lasts() {
    let mut measured = Measured::new();
    assert_eq!(measured.info("clients", "paused_"), "paused_reason:none");
    measured.run("CLIENT PAUSE 500 WRITE");
    let text = measured.run("INFO clients");
    assert!(
        text.contains("paused_reason:client_pause paused_actions:write ")
            && text.contains("paused_timeout_milliseconds:500 "),
        "{text}"
    );
    measured.run("WATCH a b");
    let watched = measured.info("clients", "total_watched_keys:");
    assert_eq!(watched, "total_watched_keys:2");
}
