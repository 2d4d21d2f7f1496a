//! A Redis server from the distribution, on a port of its own, for comparison; and a plain
//! `kv-node` started in the same way.

use super::Tool;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, io};
use tempfile::TempDir;
use thiserror::Error;

/// Why there is no server.
#[derive(Debug, Error)]
pub enum PlainServerError {
    #[error("starting the server: {0}")]
    Io(#[from] io::Error),
    #[error("the server does not answer: {0}")]
    Silent(String),
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct PlainServer {
    pub address: String,
    child: Child,
    directory: TempDir,
}

impl PlainServer {
    /// Starts a server with these options (without their leading `--`), through `prefix` (such as
    /// `taskset -c 0`) when there is one, and waits until it answers.
    pub async fn start_redis(
        tool: &Tool,
        prefix: &[&str],
        options: &[(&str, &str)],
    ) -> Result<Self, PlainServerError> {
        let port = free_port()?;
        let mut words = vec!["--save".to_owned(), String::new()];
        words.extend(["--daemonize", "no", "--logfile", "log"].map(str::to_owned));
        for (name, value) in options {
            words.extend([format!("--{name}"), (*value).to_owned()]);
        }
        Self::start_process(tool, prefix, port, &words).await
    }

    /// Starts a plain `kv-node` with these options.
    pub async fn start_node(
        tool: &Tool,
        prefix: &[&str],
        options: &[&str],
    ) -> Result<Self, PlainServerError> {
        let port = free_port()?;
        let mut words = vec![format!("--metrics-port={}", free_port()?)];
        words.extend(options.iter().map(ToString::to_string));
        Self::start_process(tool, prefix, port, &words).await
    }

    /// Starts this project's server that does nothing, with these options.
    pub async fn start_empty(
        tool: &Tool,
        prefix: &[&str],
        options: &[&str],
    ) -> Result<Self, PlainServerError> {
        let port = free_port()?;
        let program = tool.path.to_string_lossy();
        let mut words = prefix.to_vec();
        words.extend([&*program, "empty-server"]);
        words.extend(options);
        Self::start_command(&words, port, &[]).await
    }

    async fn start_process(
        tool: &Tool,
        prefix: &[&str],
        port: u16,
        options: &[String],
    ) -> Result<Self, PlainServerError> {
        let program = tool.path.to_string_lossy();
        let mut words = prefix.to_vec();
        words.push(&program);
        Self::start_command(&words, port, options).await
    }

    async fn start_command(
        words: &[&str],
        port: u16,
        options: &[String],
    ) -> Result<Self, PlainServerError> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(directory.path());
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(options).stdin(Stdio::null());
        let log = fs::File::create(directory.path().join("output"))?;
        command.stdout(log.try_clone()?).stderr(log);
        let server = Self {
            address: format!("127.0.0.1:{port}"),
            child: command.spawn()?,
            directory,
        };
        server.wait_until_it_answers().await?;
        Ok(server)
    }

    /// Starts a server that owns all slots of a cluster of one.
    pub async fn start_redis_cluster(tool: &Tool) -> Result<Self, PlainServerError> {
        let bus = free_port()?.to_string();
        let options = [
            ("cluster-enabled", "yes"),
            ("cluster-port", bus.as_str()),
            ("cluster-require-full-coverage", "no"),
        ];
        let server = Self::start_redis(tool, &[], &options).await?;
        let silent =
            |error: protocol::client::ClientError| PlainServerError::Silent(error.to_string());
        let patience = Duration::from_secs(5);
        let mut client = protocol::client::Client::connect(&server.address, patience)
            .await
            .map_err(silent)?;
        client
            .call(&[b"CLUSTER", b"ADDSLOTSRANGE", b"0", b"16383"])
            .await
            .map_err(silent)?;
        Ok(server)
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    async fn wait_until_it_answers(&self) -> Result<(), PlainServerError> {
        let patience = Duration::from_secs(10);
        let answered = super::eventually("the server answers", patience, || async {
            protocol::client::Client::connect(&self.address, patience)
                .await?
                .call(&[b"PING"])
                .await
        })
        .await;
        let read = |name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        let log = || read("output") + &read("log");
        answered
            .map(|_| ())
            .map_err(|overdue| PlainServerError::Silent(format!("{overdue}\n{}", log())))
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens on at the moment.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
