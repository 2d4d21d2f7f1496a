//! The monitor: one persistent heartbeat connection to each member of a cluster, and a table of
//! what they said. A change that could matter wakes the cluster's passes at once; a broken
//! connection is tried again at once, so that a killed process is noticed within milliseconds.

mod table;

pub use table::{Heard, Table};

use protocol::admin::AdminRequest;
use protocol::client::{Client, ClientError};
use protocol::status::MemberStatus;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Between two heartbeats to one member. An `Eventual` primary's lease is a multiple of it.
const INTERVAL: Duration = Duration::from_millis(100);

/// Between two attempts to reach a member that is not there.
const RETRY: Duration = Duration::from_millis(50);

/// How long a connection that broke may take to be made again before it counts as broken.
const RECONNECT: Duration = Duration::from_millis(100);

/// Where a member is, and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub pod_uid: String,
    pub address: String,
    pub password: Option<String>,
    pub detection: Duration,
}

/// Heartbeats to the members of one cluster.
pub struct Monitor {
    table: Arc<Table>,
    tasks: BTreeMap<String, (Target, Task)>,
}

/// Ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Monitor {
    pub fn new(table: Arc<Table>) -> Self {
        Self {
            table,
            tasks: BTreeMap::new(),
        }
    }

    /// Watches exactly these members.
    pub fn follow(&mut self, targets: BTreeMap<String, Target>) {
        let table = &self.table;
        self.tasks.retain(|name, (target, _)| {
            let stays = targets.get(name) == Some(target);
            if !stays {
                table.forget(name);
            }
            stays
        });
        for (name, target) in targets {
            if !self.tasks.contains_key(&name) {
                self.table.begin(&name);
                let task = beat(name.clone(), target.clone(), self.table.clone());
                self.tasks.insert(name, (target, Task(tokio::spawn(task))));
            }
        }
    }
}

/// Heartbeats to one member until aborted.
async fn beat(name: String, target: Target, table: Arc<Table>) {
    let mut patience = target.detection;
    loop {
        match connect(&target, patience).await {
            Ok(mut client) => {
                let error = converse(&name, &mut client, &table).await;
                tracing::debug!(member = name, %error, "heartbeat ended");
                if matches!(error, ClientError::Timeout { .. }) {
                    table.failed(&name, &error);
                } else {
                    table.interrupted(&name);
                }
                // A broken connection is judged by whether it can be made again at once.
                patience = RECONNECT.min(target.detection);
            }
            Err(error) => {
                tracing::debug!(member = name, %error, "heartbeat cannot connect");
                table.failed(&name, &error);
                patience = target.detection;
                sleep(RETRY).await;
            }
        }
    }
}

async fn connect(target: &Target, patience: Duration) -> Result<Client, ClientError> {
    let password = target.password.as_deref();
    let connecting = Client::connect_as_system(&target.address, password, target.detection);
    match tokio::time::timeout(patience, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(ClientError::Timeout {
            address: target.address.clone(),
            after: patience,
        }),
    }
}

/// Asks again and again until the connection fails.
async fn converse(name: &str, client: &mut Client, table: &Table) -> ClientError {
    loop {
        let begun = Instant::now();
        match status(client, true).await {
            Ok(status) => table.heard(name, status),
            Err(error) => return error,
        }
        sleep_until(begun + INTERVAL).await;
    }
}

/// Asks a member for its status.
pub async fn status(client: &mut Client, heartbeat: bool) -> Result<MemberStatus, ClientError> {
    let arguments = AdminRequest::Status { heartbeat }.to_arguments();
    ask_status(client, &arguments).await
}

/// A request that is answered with the member's status.
pub async fn ask_status(
    client: &mut Client,
    arguments: &[Vec<u8>],
) -> Result<MemberStatus, ClientError> {
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let reply = client.call(&arguments).await?;
    let parsed = serde_json::from_slice(reply.as_bytes().unwrap_or_default());
    parsed.map_err(|error| ClientError::Refused {
        address: client.address().to_owned(),
        text: format!("its status is not understood: {error}"),
    })
}
