//! The two servers as processes on loopback, and connections that keep replies as raw bytes.

use protocol::resp::{read_reply, write_request};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start or to answer.
const DEADLINE: Duration = Duration::from_secs(10);

pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both servers, empty.
pub struct Servers {
    pub redis: String,
    pub node: String,
    _processes: [Process; 2],
}

impl Servers {
    /// Starts both; `None` where there is no `redis-server` and none is required.
    pub fn start() -> Option<Self> {
        let Some((redis_process, redis)) = start_redis(&std::env::temp_dir()) else {
            let required = std::env::var("KV_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
            assert!(!required, "redis-server is not installed");
            println!("SKIPPED: redis-server is not installed, nothing was compared");
            return None;
        };
        let (node_process, node) = start_node();
        Some(Self {
            redis,
            node,
            _processes: [redis_process, node_process],
        })
    }

    /// A connection to each: Redis, then the node.
    pub fn connect(&self) -> Pair {
        Pair {
            redis: Link::connect(&self.redis),
            node: Link::connect(&self.node),
        }
    }
}

/// Starts Redis in a folder, with what `dump.rdb` there holds; `None` where there is no Redis.
pub fn start_redis(folder: &Path) -> Option<(Process, String)> {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let spawned = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(["--databases", "1", "--daemonize", "no"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn();
    let process = match spawned {
        Ok(child) => Process(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("starting redis-server: {error}"),
    };
    let address = format!("127.0.0.1:{port}");
    let started = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(started.elapsed() < DEADLINE, "redis-server does not listen");
        std::thread::yield_now();
    }
    Some((process, address))
}

fn start_node() -> (Process, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kv-node"))
        .arg("--port=0")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let process = Process(child);
    let address = loop {
        let line = lines.next().expect("kv-node ended at its start").unwrap();
        if let Some((_, rest)) = line.split_once("listening address=") {
            break rest.split(' ').next().unwrap().to_owned();
        }
    };
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .for_each(|line| println!("kv-node: {line}"));
    });
    (process, address)
}

/// One connection.
pub struct Link {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Link {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // A server that has closed the connection is found out by its silence.
        let _ = self.stream.write_all(bytes);
    }

    /// The bytes of the next reply; empty when the server has closed the connection.
    pub fn receive(&mut self) -> Vec<u8> {
        loop {
            if let Some((_, length)) = read_reply(&self.buffer).expect("a reply") {
                return self.buffer.drain(..length).collect();
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return std::mem::take(&mut self.buffer),
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// The next reply if it has come.
    pub fn receive_now(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((_, length)) = read_reply(&self.buffer).expect("a reply") {
                return Some(self.buffer.drain(..length).collect());
            }
            let mut chunk = [0; 16 * 1024];
            self.stream.set_nonblocking(true).unwrap();
            let read = self.stream.read(&mut chunk);
            self.stream.set_nonblocking(false).unwrap();
            match read {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// A number that `INFO clients` tells.
    pub fn info_of_clients(&mut self, field: &str) -> usize {
        let info = self.say("INFO clients");
        let info = String::from_utf8_lossy(&info);
        let line = info.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|rest| rest.strip_prefix(':')).unwrap();
        number.trim().parse().unwrap()
    }

    /// Everything until the server closes the connection.
    pub fn receive_all(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.buffer);
        // A reset ends the stream as well as a proper close.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    pub fn call(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut bytes = Vec::new();
        write_request(&mut bytes, &words);
        self.send(&bytes);
        self.receive()
    }

    /// Calls with words split at spaces.
    pub fn say(&mut self, line: &str) -> Vec<u8> {
        let words: Vec<Vec<u8>> = line
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect();
        self.call(&words)
    }
}

/// A connection to each server.
pub struct Pair {
    pub redis: Link,
    pub node: Link,
}

impl Pair {
    /// Sends the same bytes to both and gives the replies of Redis and of the node.
    pub fn exchange(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.redis.send(bytes);
        self.node.send(bytes);
        (self.redis.receive(), self.node.receive())
    }

    pub fn call(&mut self, words: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut bytes = Vec::new();
        write_request(&mut bytes, &words);
        self.exchange(&bytes)
    }

    pub fn say(&mut self, line: &str) -> (Vec<u8>, Vec<u8>) {
        (self.redis.say(line), self.node.say(line))
    }
}

/// Bytes as text for people.
pub fn shown(bytes: &[u8]) -> String {
    const MAX: usize = 400;
    let cut = &bytes[..bytes.len().min(MAX)];
    let dots = if bytes.len() > MAX { "…" } else { "" };
    format!("{}{dots}", cut.escape_ascii())
}
