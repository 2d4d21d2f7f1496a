//! The servers that are measured side by side, in turns: `kv-node`, the distribution's
//! `redis-server`, the one that `PEER_BIN` names (such as Valkey's), and a server that does
//! nothing.

use crate::platform::Binaries;
use crate::scenario::{PlainServer, Tool, tool};
use anyhow::{Context, bail};
use std::env;
use std::path::PathBuf;

/// A running server with the name it has in tables.
pub struct Server {
    pub name: String,
    pub running: PlainServer,
}

/// What can be started.
#[derive(Debug, Clone)]
pub enum Program {
    Node(Tool),
    Redis(Tool),
    /// Answers as many requests as come, and does nothing else: what the network costs.
    Empty(Tool),
}

/// The programs that take part, `kv-node` first.
pub struct Programs {
    found: Vec<(String, Program)>,
    telling_turns: bool,
}

impl Programs {
    /// All that are there; `redis-server` must be.
    pub async fn find() -> anyhow::Result<Self> {
        let Some(redis) = tool("redis-server") else {
            bail!("redis-server is needed: apt-get install redis");
        };
        let node = match env::var_os("KV_NODE") {
            Some(path) => PathBuf::from(path).canonicalize().context("KV_NODE")?,
            None => Binaries::ready().await?.node,
        };
        let mut found = vec![
            ("kv-node".to_owned(), Program::Node(Tool { path: node })),
            (version_of(&redis), Program::Redis(redis)),
        ];
        if let Some(path) = env::var_os("PEER_BIN") {
            let path = PathBuf::from(path).canonicalize().context("PEER_BIN")?;
            let peer = Tool { path };
            found.push((version_of(&peer), Program::Redis(peer)));
        }
        Ok(Self {
            found,
            telling_turns: false,
        })
    }

    /// With turns that are told by processor time, of servers that grow as in use: `kv-node` keeps
    /// its data on disk, and the one that does nothing the bytes it reads.
    pub fn telling_turns(mut self) -> Self {
        self.telling_turns = true;
        self
    }

    /// With the server that does nothing.
    pub fn and_empty(mut self) -> anyhow::Result<Self> {
        let path = env::current_exe().context("finding this program")?;
        let empty = Program::Empty(Tool { path });
        self.found.push(("nothing".to_owned(), empty));
        Ok(self)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.found.iter().map(|(name, _)| name.as_str())
    }

    /// Starts all of them, through `prefix` (such as `taskset -c 0`).
    pub async fn start_all(&self, prefix: &[&str]) -> anyhow::Result<Vec<Server>> {
        let mut servers = Vec::new();
        for index in 0..self.found.len() {
            servers.push(self.start(index, prefix).await?);
        }
        Ok(servers)
    }

    pub async fn start(&self, index: usize, prefix: &[&str]) -> anyhow::Result<Server> {
        let (name, program) = &self.found[index];
        let running = match program {
            Program::Node(tool) => {
                let mut options = vec!["--config=maxclients=20000"];
                // In the directory the process is started in, which goes when it ends.
                if self.telling_turns {
                    options.extend(["--dir=data", "--measure-cpu-time"]);
                }
                PlainServer::start_node(tool, prefix, &options).await
            }
            Program::Redis(tool) => {
                let options = [("appendonly", "no"), ("maxclients", "20000")];
                PlainServer::start_redis(tool, prefix, &options).await
            }
            Program::Empty(tool) => {
                let options: &[&str] = if self.telling_turns { &["--keep"] } else { &[] };
                PlainServer::start_empty(tool, prefix, options).await
            }
        };
        Ok(Server {
            name: name.clone(),
            running: running.with_context(|| format!("starting {name}"))?,
        })
    }
}

/// `redis 7.0.15` from `Redis server v=7.0.15 sha=…`.
fn version_of(tool: &Tool) -> String {
    let printed = tool.run(&["--version"]).unwrap_or_default();
    let mut words = printed.split_whitespace();
    let name = words.next().unwrap_or("server").to_ascii_lowercase();
    let version = words.find_map(|word| word.strip_prefix("v="));
    format!("{name} {}", version.unwrap_or("?"))
}
