//! `/metrics` of a member, with metrics of each slot, as Prometheus' own tool reads it.

use crate::harness::{Cluster, text};
use protocol::topology::Consistency;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

/// The body of what is served at `/metrics`.
fn fetched(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: member\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// What `promtool` finds wrong; `None` without it.
fn findings(metrics: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.stderr(Stdio::piped()).spawn() else {
        eprintln!("SKIPPED: there is no promtool");
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    input.write_all(metrics.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success() || !said.is_empty());
    Some(said)
}

#[tokio::test]
async fn metrics_of_slots_are_as_prometheus_wants_them() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let option: &'static str = format!("--metrics-port={port}").leak();
    let options: &'static [&'static str] = vec![option].leak();
    let cluster = Cluster::start_with(1, 1, Consistency::Quorum, true, options).await;
    for request in [
        "CONFIG SET cluster-slot-metrics-enabled yes cluster-slot-stats-enabled yes",
        "SET foo bar",
    ] {
        assert_eq!(text(&cluster.run("s0-0", request).await), "OK");
    }
    let metrics = fetched(port);
    let of_slot = |name: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        let mut lines = lines.filter(|line| line.contains("slot=\"12182\""));
        let line = lines.next().unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!((of_slot("kv_slot_keys{") - 1.0).abs() < 0.1);
    assert!(of_slot("kv_slot_memory_bytes{") > 3.0);
    assert!(of_slot("kv_slot_input_bytes_total{") > 30.0);
    assert!(of_slot("kv_slot_output_bytes_total{") > 4.0);
    if let Some(findings) = findings(&metrics) {
        assert_eq!(findings, "");
    }
}
