//! A Redis server from the distribution, on a port of its own, for comparison.

use super::Tool;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, io};
use tempfile::TempDir;
use thiserror::Error;

/// Why there is no server.
#[derive(Debug, Error)]
pub enum StockError {
    #[error("starting the stock server: {0}")]
    Io(#[from] io::Error),
    #[error("the stock server does not answer: {0}")]
    Silent(String),
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct StockRedis {
    pub address: String,
    child: Child,
    directory: TempDir,
}

impl StockRedis {
    /// Starts a server with these options (without their leading `--`), through `prefix` (such as
    /// `taskset -c 0`) when there is one, and waits until it answers.
    pub async fn start(
        tool: &Tool,
        prefix: &[&str],
        options: &[(&str, &str)],
    ) -> Result<Self, StockError> {
        let directory = tempfile::tempdir()?;
        let port = free_port()?;
        let program = tool.path.to_string_lossy().into_owned();
        let mut words: Vec<String> = prefix.iter().map(ToString::to_string).collect();
        words.push(program);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(directory.path());
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--daemonize", "no", "--logfile", "log"]);
        for (name, value) in options {
            command.args([&format!("--{name}"), *value]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let address = format!("127.0.0.1:{port}");
        let server = Self {
            address,
            child,
            directory,
        };
        server.wait_until_it_answers().await?;
        Ok(server)
    }

    /// Starts a server that owns all slots of a cluster of one.
    pub async fn start_cluster(tool: &Tool) -> Result<Self, StockError> {
        let bus = free_port()?.to_string();
        let options = [
            ("cluster-enabled", "yes"),
            ("cluster-port", bus.as_str()),
            ("cluster-require-full-coverage", "no"),
        ];
        let server = Self::start(tool, &[], &options).await?;
        let silent = |error: protocol::client::ClientError| StockError::Silent(error.to_string());
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

    /// Where its files are.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    async fn wait_until_it_answers(&self) -> Result<(), StockError> {
        let patience = Duration::from_secs(10);
        let answered = super::eventually("the stock server answers", patience, || async {
            protocol::client::Client::connect(&self.address, patience)
                .await?
                .call(&[b"PING"])
                .await
        })
        .await;
        let log = || fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        answered
            .map(|_| ())
            .map_err(|overdue| StockError::Silent(format!("{overdue}\n{}", log())))
    }
}

impl Drop for StockRedis {
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
