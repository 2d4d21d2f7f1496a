//! Bytes that are no requests, inline requests and pipelines: the same answers, then the same end.

use super::servers::{Servers, shown};

#[test]
fn violations_of_the_protocol_are_answered_alike() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let long = "a".repeat(70_000);
    let inputs = [
        "*x\r\n".to_owned(),
        "*2147483648\r\n".into(),
        "*-1\r\nPING\r\nQUIT\r\n".into(),
        "*0\r\nPING\r\nQUIT\r\n".into(),
        "*1\r\n:1\r\n".into(),
        "*1\r\n$-1\r\n".into(),
        "*1\r\n$x\r\n".into(),
        "*1\r\n$536870913\r\n".into(),
        "*1\r\n\r\n".into(),
        "*\r\n".into(),
        "\r\n\r\nPING\r\nQUIT\r\n".into(),
        "PING\nPING a\r\nQUIT\r\n".into(),
        "SET a \"x y\"\r\nGET a\r\nQUIT\r\n".into(),
        "SET a 'it\\'s'\r\nGET a\r\nQUIT\r\n".into(),
        "SET a \"\\x00\\xff\\n\\q\"\r\nGET a\r\nQUIT\r\n".into(),
        "SET \"a\r\n".into(),
        "SET 'a\"b\r\n".into(),
        "   \r\nPING   \r\n\tPING\t\r\nQUIT\r\n".into(),
        "NOSUCH\u{1}\r\nQUIT\r\n".into(),
        format!("{long}\r\nQUIT\r\n"),
        format!("PING {long}"),
        format!("*1\r\n${long}"),
        format!("*{long}"),
        "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nQUIT\r\n".into(),
        "*2\r\n$4\r\nECHO\r\n$0\r\n\r\nQUIT\r\n".into(),
        "GET / HTTP/1.1\r\nQUIT\r\n".into(),
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabc\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nQUIT\r\n".into(),
        "MULTI\r\nSET a 1\r\nINCR a\r\nEXEC\r\nQUIT\r\n".into(),
    ];
    for input in &inputs {
        let mut pair = servers.connect();
        for link in [&mut pair.redis, &mut pair.node] {
            link.send(input.as_bytes());
        }
        let (redis, node) = (pair.redis.receive_all(), pair.node.receive_all());
        assert_eq!(shown(&redis), shown(&node), "{}", shown(input.as_bytes()));
    }
}

#[test]
fn a_pipeline_in_pieces_is_answered_alike() {
    let Some(servers) = Servers::start() else {
        return;
    };
    let mut script = Vec::new();
    for number in 0..50 {
        script.extend(format!("SET key:{number} {number}\r\n").bytes());
        script.extend(
            format!(
                "*2\r\n$4\r\nINCR\r\n${}\r\nkey:{number}\r\n",
                format!("key:{number}").len()
            )
            .bytes(),
        );
        script.extend(format!("APPEND key:{number} x\r\nNOSUCH {number}\r\n").bytes());
    }
    script.extend(b"QUIT\r\n");
    for size in [1, 7, 100, script.len()] {
        let mut pair = servers.connect();
        for link in [&mut pair.redis, &mut pair.node] {
            script.chunks(size).for_each(|chunk| link.send(chunk));
        }
        let (redis, node) = (pair.redis.receive_all(), pair.node.receive_all());
        assert_eq!(shown(&redis), shown(&node), "pieces of {size}");
        assert_eq!(redis, node, "pieces of {size}");
    }
}
