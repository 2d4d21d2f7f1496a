//! Several clients of both servers at once. After each line every client that can answer is asked
//! for a sign, so that all that was sent to it before is in hand and can be compared; of those that
//! wait for keys `INFO clients` tells when they do.

use super::compare::{elements, same};
use super::dataset::compare_values;
use super::servers::{Link, Pair, Servers, shown};
use protocol::resp::write_request;
use std::time::{Duration, Instant};

/// The last two speak RESP3.
pub const CLIENTS: usize = 4;

const DEADLINE: Duration = Duration::from_secs(10);

type Words = Vec<Vec<u8>>;

/// Messages of Redis and of the node.
type Messages = [Vec<Vec<u8>>; 2];

struct Client {
    links: [Link; 2],
    ids: [String; 2],
    transacts: bool,
    queued: Vec<Words>,
    /// The request that it waits in.
    waits: Option<Words>,
}

pub struct Conversation {
    control: Pair,
    clients: Vec<Client>,
    signs: u64,
}

fn is_push(message: &[u8]) -> bool {
    message.starts_with(b">")
}

/// What stands before a null at the end.
fn before_null(message: &[u8]) -> Option<&[u8]> {
    let nulls = [&b"$-1\r\n"[..], b"*-1\r\n", b"_\r\n"];
    nulls.iter().find_map(|null| message.strip_suffix(*null))
}

/// What a client is told of its own doing follows on the reply since Redis 7.2: first of keys that
/// are invalid, then the messages. Before, messages stood in front.
///
/// That a consumer was made is left out: reading makes one since 7.2 even if it gets nothing.
fn in_order_of_7_2(messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut messages = without_pushes_inside(messages);
    let makes = |message: &Vec<u8>| {
        let holds = |text: &[u8]| message.windows(text.len()).any(|part| part == text);
        holds(b"message\r\n") && holds(b"xgroup-createconsumer")
    };
    messages.retain(|message| !makes(message));
    messages.sort_by_key(|message| match is_push(message) {
        false => 0,
        true if message.starts_with(b">2\r\n$10\r\ninvalidate") => 1,
        true => 2,
    });
    messages
}

/// Takes messages out of replies of several elements, where Redis writes them before 7.2: the
/// elements that they stood in the place of follow as replies of their own.
fn without_pushes_inside(messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    let mut rest = messages.into_iter();
    while let Some(message) = rest.next() {
        let parts = if is_push(&message) {
            None
        } else {
            elements(&message)
        };
        let parts = parts.unwrap_or_default();
        let (mut pushed, kept): (Vec<&[u8]>, Vec<&[u8]>) =
            parts.iter().partition(|part| is_push(part));
        if pushed.is_empty() {
            whole.push(message);
            continue;
        }
        let mut missing = pushed.len();
        let header = message.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let mut array = message[..header].to_vec();
        array.extend(kept.concat());
        let mut pushes: Vec<Vec<u8>> = pushed.drain(..).map(<[u8]>::to_vec).collect();
        while missing > 0
            && let Some(next) = rest.next()
        {
            if is_push(&next) {
                pushes.push(next);
            } else {
                array.extend(next);
                missing -= 1;
            }
        }
        whole.push(array);
        whole.extend(pushes);
    }
    whole
}

fn words_of(line: &str) -> Words {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// Waits until a condition is true of a server.
fn until(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < DEADLINE,
            "a server does not come to rest"
        );
        std::thread::yield_now();
    }
}

impl Conversation {
    /// Both servers are emptied and forget who was there before.
    pub fn begin(servers: &Servers, events: &str) -> Self {
        let mut control = servers.connect();
        for link in [&mut control.redis, &mut control.node] {
            until(|| link.info_of_clients("connected_clients") == 1);
            link.say("FLUSHALL");
            link.say("SCRIPT FLUSH");
            let set = ["CONFIG", "SET", "notify-keyspace-events", events];
            link.call(&set.map(|word| word.as_bytes().to_vec()));
        }
        let clients = (0..CLIENTS).map(|index| {
            let pair = servers.connect();
            let mut links = [pair.redis, pair.node];
            let ids = [0, 1].map(|server: usize| {
                if index >= 2 {
                    links[server].say("HELLO 3");
                }
                let id = links[server].say("CLIENT ID");
                shown(&id[1..id.len() - 2])
            });
            Client {
                links,
                ids,
                transacts: false,
                queued: Vec::new(),
                waits: None,
            }
        });
        let clients = clients.collect();
        Self {
            control,
            clients,
            signs: 0,
        }
    }

    /// A client sends a line, unless it waits; all that everybody is sent is compared.
    pub fn step(&mut self, client: usize, line: &str) -> Result<(), String> {
        if self.clients[client].waits.is_some() {
            return Ok(());
        }
        let requests: Vec<&str> = line.split(" ; ").collect();
        let subscribes = line.contains("SUBSCRIBE");
        if self.clients[client].transacts && (requests.len() > 1 || subscribes) {
            return Ok(());
        }
        let blocks = line.ends_with(" 0")
            || line.contains(" BLOCK ")
            || line.starts_with("BZ")
            || line.starts_with("BL");
        self.send(client, &requests);
        if self.clients[client].transacts || line == "MULTI" {
            self.take_one(client, line)?;
        } else if blocks {
            self.take_or_wait(client, line)?;
        } else {
            self.sign(client, &words_of(requests[0]))?;
        }
        self.serve_waiting()?;
        for other in 0..CLIENTS {
            if !self.clients[other].transacts && self.clients[other].waits.is_none() {
                self.sign(other, &[])?;
            }
        }
        Ok(())
    }

    fn send(&mut self, client: usize, requests: &[&str]) {
        for server in 0..2 {
            let mut bytes = Vec::new();
            for request in requests {
                let words: Words = words_of(request)
                    .into_iter()
                    .map(|word| match word.strip_prefix(b"$i") {
                        Some([digit]) => self.clients[usize::from(digit - b'0')].ids[server]
                            .clone()
                            .into_bytes(),
                        _ => word,
                    })
                    .collect();
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                write_request(&mut bytes, &words);
            }
            self.clients[client].links[server].send(&bytes);
        }
    }

    /// Takes messages up to the answer to a sign; compares them as what the request was answered.
    fn sign(&mut self, client: usize, words: &[Vec<u8>]) -> Result<(), String> {
        let mut messages = self.signed(client);
        if !words.is_empty() {
            // Changes of keys with a prefix are told when a batch of requests ends.
            for (messages, more) in messages.iter_mut().zip(self.signed(client)) {
                messages.extend(more);
            }
        }
        self.compare(client, words, &messages.map(in_order_of_7_2))
    }

    fn signed(&mut self, client: usize) -> Messages {
        self.signs += 1;
        let sign = format!("sign-{}", self.signs);
        self.send(client, &[&format!("PING {sign}")]);
        [0, 1].map(|server| {
            let link = &mut self.clients[client].links[server];
            let mut messages = Vec::new();
            loop {
                let message = link.receive();
                let ends = message.ends_with(format!("{sign}\r\n").as_bytes());
                if ends || message.is_empty() {
                    return messages;
                }
                messages.push(message);
            }
        })
    }

    /// Takes the one reply of a client that transacts, with the pushes before it.
    fn take_one(&mut self, client: usize, line: &str) -> Result<(), String> {
        let messages: Messages = if line == "EXEC" {
            let mut messages = self.signed(client);
            for (messages, more) in messages.iter_mut().zip(self.signed(client)) {
                messages.extend(more);
            }
            messages
        } else {
            [0, 1].map(|server| self.replied(client, server))
        };
        let words = words_of(line);
        let messages = messages.map(in_order_of_7_2);
        self.compare(client, &words, &messages)?;
        let own = &mut self.clients[client];
        let mut replies = messages[1].iter().filter(|message| !is_push(message));
        let reply = replies.next().map_or(&b""[..], Vec::as_slice);
        match line {
            "MULTI" => own.transacts |= reply == b"+OK\r\n",
            "EXEC" | "DISCARD" | "RESET" => {
                own.transacts = false;
                own.queued.clear();
            }
            _ if reply == b"+QUEUED\r\n" => own.queued.push(words),
            _ => {}
        }
        Ok(())
    }

    /// Messages up to a reply.
    fn replied(&mut self, client: usize, server: usize) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        loop {
            let message = self.clients[client].links[server].receive();
            let pushed = is_push(&message);
            messages.push(message);
            if !pushed {
                return messages;
            }
        }
    }

    fn waiting(&self) -> usize {
        let waits = self.clients.iter().filter(|client| client.waits.is_some());
        waits.count()
    }

    /// Takes the reply to a request that may wait, or finds that it does.
    fn take_or_wait(&mut self, client: usize, line: &str) -> Result<(), String> {
        let before = self.waiting();
        let mut messages = Messages::default();
        let mut waits = [false; 2];
        for server in 0..2 {
            let control = match server {
                0 => &mut self.control.redis,
                _ => &mut self.control.node,
            };
            let link = &mut self.clients[client].links[server];
            let mut replied = false;
            until(|| {
                while let Some(message) = link.receive_now() {
                    replied |= !is_push(&message);
                    messages[server].push(message);
                }
                replied || {
                    waits[server] = control.info_of_clients("blocked_clients") > before;
                    waits[server]
                }
            });
        }
        if waits[0] != waits[1] {
            return Err(format!(
                "waits at Redis: {}, the node: {}",
                waits[0], waits[1]
            ));
        }
        let words = words_of(line);
        if waits[0] {
            self.clients[client].waits = Some(words);
            return Ok(());
        }
        self.compare(client, &words, &messages.map(in_order_of_7_2))
    }

    /// Takes the replies of those that wait no more.
    fn serve_waiting(&mut self) -> Result<(), String> {
        let before = self.waiting();
        if before == 0 {
            return Ok(());
        }
        let left = [&mut self.control.redis, &mut self.control.node]
            .map(|link| link.info_of_clients("blocked_clients"));
        if left[0] != left[1] {
            return Err(format!(
                "wait at Redis: {}, at the node: {}",
                left[0], left[1]
            ));
        }
        let mut messages: Vec<Messages> = vec![Messages::default(); CLIENTS];
        for server in 0..2 {
            let mut served = 0;
            until(|| {
                for (client, got) in self.clients.iter_mut().zip(&mut messages) {
                    if client.waits.is_none() {
                        continue;
                    }
                    while let Some(message) = client.links[server].receive_now() {
                        served += usize::from(!is_push(&message));
                        got[server].push(message);
                    }
                }
                served >= before - left[0]
            });
        }
        for (client, messages) in messages.iter().enumerate() {
            let replied = messages[0].iter().any(|message| !is_push(message));
            if replied && let Some(words) = self.clients[client].waits.take() {
                let messages = messages.clone().map(in_order_of_7_2);
                self.compare(client, &words, &messages)?;
            }
        }
        Ok(())
    }

    fn compare(
        &self,
        client: usize,
        words: &[Vec<u8>],
        [redis, node]: &Messages,
    ) -> Result<(), String> {
        let own = &self.clients[client];
        let fits = redis.len() == node.len()
            && redis.iter().zip(node).all(|(redis, node)| {
                let executed = (words == [b"EXEC"])
                    .then(|| elements(redis).zip(elements(node)))
                    .flatten();
                match executed.filter(|_| !is_push(redis)) {
                    Some((redis, node)) if redis.len() == node.len() => {
                        let pairs = redis.iter().zip(&node).zip(&own.queued);
                        pairs.fold(true, |fits, ((redis, node), words)| {
                            fits && self.same(words, redis, node)
                        })
                    }
                    _ => self.same(words, redis, node),
                }
            });
        if fits {
            return Ok(());
        }
        let list = |messages: &[Vec<u8>], server: usize| -> String {
            let shown = messages.iter().map(|message| match words.first() {
                Some(word) if word == b"CLIENT" => self.described(message, server).join("\n"),
                _ => shown(message),
            });
            shown.collect::<Vec<_>>().join("\n        ")
        };
        Err(format!(
            "to client {client}\n redis: {}\n node:  {}",
            list(redis, 0),
            list(node, 1)
        ))
    }

    fn same(&self, words: &[Vec<u8>], redis: &[u8], node: &[u8]) -> bool {
        if redis == node {
            return true;
        }
        // Redis writes the nothing of a flush in the protocol of whom it redirects from.
        if let (Some(redis), Some(node)) = (before_null(redis), before_null(node)) {
            return redis == node && redis.ends_with(b"invalidate\r\n");
        }
        if is_push(redis) || is_push(node) {
            return false;
        }
        // Who waits reads again since 7.2, and so finds that there is no such group.
        let gone = redis.starts_with(b"-UNBLOCKED the stream key no longer exists");
        if gone && node.starts_with(b"-NOGROUP No such key") {
            return true;
        }
        let text = words.join(&b' ');
        match text.as_slice() {
            b"CLIENT GETREDIR" | b"CLIENT TRACKINGINFO" => {
                self.without_ids(redis, 0) == self.without_ids(node, 1)
            }
            b"CLIENT LIST" | b"CLIENT INFO" => self.described(redis, 0) == self.described(node, 1),
            _ => same(words, redis, node),
        }
    }

    /// A reply with the numbers of clients in the place of their ids.
    fn without_ids(&self, reply: &[u8], server: usize) -> String {
        let mut text = shown(reply);
        for (number, client) in self.clients.iter().enumerate() {
            let id = format!(":{}\\r\\n", client.ids[server]);
            text = text.replace(&id, &format!(":client {number}\\r\\n"));
        }
        text
    }

    /// What `CLIENT LIST` tells of the clients here that does not depend on the server.
    fn described(&self, reply: &[u8], server: usize) -> Vec<String> {
        const STABLE: [&str; 10] = [
            "name", "flags", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "resp",
        ];
        let text = String::from_utf8_lossy(reply);
        let mut lines = Vec::new();
        for line in text.lines() {
            let fields = line.trim_start_matches("txt:").split([' ', '\r']);
            let fields: Vec<(&str, &str)> = fields.filter_map(|f| f.split_once('=')).collect();
            let of = |name: &str| fields.iter().find(|f| f.0 == name).map_or("", |f| f.1);
            let mine = self.clients.iter().position(|c| c.ids[server] == of("id"));
            if let Some(number) = mine {
                let stable: Vec<String> = STABLE.iter().map(|name| of(name).to_owned()).collect();
                lines.push(format!("{number}: {}", stable.join(" ")));
            }
        }
        if lines.is_empty() {
            return vec![self.without_ids(reply, server)];
        }
        lines.sort_unstable();
        lines
    }

    /// Nobody waits any more, and both servers hold the same.
    pub fn end(mut self) -> Result<(), String> {
        for client in 0..CLIENTS {
            if self.clients[client].waits.is_none() {
                continue;
            }
            for (server, link) in [&mut self.control.redis, &mut self.control.node]
                .into_iter()
                .enumerate()
            {
                link.say(&format!(
                    "CLIENT UNBLOCK {}",
                    self.clients[client].ids[server]
                ));
            }
            self.serve_waiting()?;
        }
        compare_values(&mut self.control)
    }
}
