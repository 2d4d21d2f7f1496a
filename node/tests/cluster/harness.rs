//! Members as processes on loopback, and a hand that plays the operator.

use kv_node::persist::new_id;
use protocol::admin::AdminRequest;
use protocol::client::{Client, ClientError};
use protocol::resp::Reply;
use protocol::slots::SlotSet;
use protocol::status::{MemberStatus, Role};
use protocol::topology::{ClusterMode, Consistency, Member, Migration, Shard, Standing, Topology};
use rustix::process::{Pid, Signal, kill_process};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, interval};

/// How long a condition may take to come true.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How long a member may take to answer.
pub const ANSWER: Duration = Duration::from_secs(10);

/// Between two looks at a condition.
pub async fn pause() {
    let mut looks = interval(Duration::from_millis(5));
    looks.tick().await;
    looks.tick().await;
}

pub struct Process {
    child: Child,
    pub address: String,
    /// It was asked to stop, and may end as soon as nobody needs it.
    stopping: Cell<bool>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(name: &str, dir: Option<&PathBuf>, password: &PathBuf, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv-node"));
        command.args([
            "--port=0",
            "--cluster",
            "--name",
            name,
            "--system-password-file",
        ]);
        command.arg(password).args(options).stderr(Stdio::piped());
        if let Some(dir) = dir {
            command.arg("--dir").arg(dir);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines
                .next()
                .expect("the member ended at its start")
                .unwrap();
            if let Some((_, rest)) = line.split_once("listening address=") {
                break rest.split(' ').next().unwrap().to_owned();
            }
        };
        let name = name.to_owned();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| println!("{name}: {line}"));
        });
        Self {
            child,
            address,
            stopping: Cell::new(false),
        }
    }
}

impl Process {
    /// Asks the process to stop, as Kubernetes does.
    pub fn terminate(&self) {
        self.stopping.set(true);
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Stops the process where it is, or lets it go on.
    pub fn suspend(&self, suspended: bool) {
        let signal = if suspended {
            Signal::STOP
        } else {
            Signal::CONT
        };
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended; whether it ended well.
    pub async fn ended_well(mut self) -> bool {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "it does not end");
            pause().await;
        }
    }
}

/// Members, the topology that the test plays with, and their volumes.
pub struct Cluster {
    pub folder: TempDir,
    pub running: BTreeMap<String, Process>,
    pub topology: Topology,
    options: Vec<&'static str>,
    durable: bool,
}

impl Cluster {
    /// Starts `shards` shards of `members` voters each, slots split evenly, and waits until they
    /// serve.
    pub async fn start(shards: usize, members: usize) -> Self {
        Self::start_with(shards, members, Consistency::Quorum, true, &[]).await
    }

    pub async fn start_with(
        shards: usize,
        members: usize,
        consistency: Consistency,
        durable: bool,
        options: &[&'static str],
    ) -> Self {
        let mut cluster = Self {
            folder: tempfile::tempdir().unwrap(),
            running: BTreeMap::new(),
            topology: Topology {
                cluster_mode: ClusterMode::Enabled,
                cluster: new_id(),
                version: 1,
                consistency,
                lease_timeout_ms: 1000,
                shards: Vec::new(),
                migrations: Vec::new(),
            },
            options: options.to_vec(),
            durable,
        };
        std::fs::write(cluster.password_file(), "secret").unwrap();
        for shard in 0..shards {
            let range = |index: usize| (index * 16384 / shards) as u16;
            let slots = SlotSet::from_range(range(shard)..=range(shard + 1) - 1);
            cluster.add_shard(shard, members, slots).await;
        }
        cluster.push().await;
        cluster.serving().await;
        cluster
    }

    fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// Starts the members of a shard and adds them to the topology.
    pub async fn add_shard(&mut self, index: usize, members: usize, slots: SlotSet) {
        let name = format!("s{index}");
        let mut shard = Shard {
            name: name.clone(),
            epoch: 1,
            primary: Some(format!("{name}-0")),
            slots,
            members: Vec::new(),
        };
        for member in 0..members {
            let name = format!("{name}-{member}");
            self.launch(&name);
            let status = self.status(&name).await;
            shard.members.push(Member {
                name: name.clone(),
                id: status.id,
                address: self.running[&name].address.clone(),
                standing: Standing::Voter,
            });
        }
        self.topology.shards.push(shard);
    }

    /// Starts a member's process.
    pub fn launch(&mut self, name: &str) {
        let dir = self.durable.then(|| self.folder.path().join(name));
        let process = Process::start(name, dir.as_ref(), &self.password_file(), &self.options);
        self.running.insert(name.to_owned(), process);
    }

    /// Kills a member's process with signal 9.
    pub fn kill(&mut self, name: &str) {
        self.running.remove(name);
    }

    /// Starts a killed member again, on another address, and tells everybody.
    pub async fn restart(&mut self, name: &str) {
        self.launch(name);
        let address = self.running[name].address.clone();
        for shard in &mut self.topology.shards {
            if let Some(member) = shard.member_mut(name) {
                member.address.clone_from(&address);
            }
        }
        self.push().await;
    }

    /// Starts a killed member whose volume is lost, and waits until it has everything again.
    pub async fn come_back_empty(&mut self, name: &str) {
        std::fs::remove_dir_all(self.folder.path().join(name)).unwrap();
        self.restart(name).await;
        let status = self.status(name).await;
        assert_eq!(
            status.role,
            Role::Waiting,
            "an unknown id counts for nothing"
        );
        self.change(|topology| {
            let mut shards = topology.shards.iter_mut();
            let member = shards.find_map(|shard| shard.member_mut(name)).unwrap();
            member.id = status.id;
            member.standing = Standing::Learner;
        })
        .await;
        self.serving().await;
    }

    pub async fn client(&self, name: &str) -> Client {
        let address = &self.running[name].address;
        Client::connect_as_system(address, Some("secret"), ANSWER)
            .await
            .unwrap()
    }

    pub async fn ask(&self, name: &str, request: &AdminRequest) -> Result<Reply, ClientError> {
        let arguments = request.to_arguments();
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        let address = &self.running[name].address;
        let mut client = Client::connect_as_system(address, Some("secret"), ANSWER).await?;
        client.call(&arguments).await
    }

    pub async fn status(&self, name: &str) -> MemberStatus {
        let reply = self
            .ask(name, &AdminRequest::Status { heartbeat: false })
            .await
            .unwrap();
        serde_json::from_slice(reply.as_bytes().unwrap()).unwrap()
    }

    /// Runs a command, words split at spaces, and gives the reply.
    pub async fn run(&self, name: &str, command: &str) -> Reply {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.client(name).await.request(&words).await.unwrap()
    }

    /// Changes the topology, gives it a new version, and pushes it to every running member.
    pub async fn change(&mut self, change: impl FnOnce(&mut Topology)) {
        change(&mut self.topology);
        self.push().await;
    }

    pub async fn push(&mut self) {
        self.topology.version += 1;
        let request = AdminRequest::TopologySet(Box::new(self.topology.clone()));
        for (name, process) in &self.running {
            if let Err(error) = self.ask(name, &request).await {
                assert!(process.stopping.get(), "{name}: {error}");
            }
        }
    }

    /// Waits until every primary holds its lease and every other running member is in sync.
    pub async fn serving(&self) {
        for shard in &self.topology.shards {
            let primary = shard.primary.clone().unwrap();
            self.until(&primary, |status| status.lease_valid).await;
            for member in shard.members.iter().filter(|member| member.name != primary) {
                if self.running.contains_key(&member.name) {
                    let synced = |s: &MemberStatus| {
                        s.link.as_ref().is_some_and(|l| l.connected && !l.syncing)
                    };
                    self.until(&member.name, synced).await;
                }
            }
        }
    }

    /// Waits until a member's status is as wanted.
    pub async fn until(&self, name: &str, wanted: impl Fn(&MemberStatus) -> bool) -> MemberStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let status = self.status(name).await;
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{name} stays {status:?}");
            pause().await;
        }
    }

    /// Waits until two members have the same log and keys.
    pub async fn until_equal(&self, left: &str, right: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (a, b) = (self.status(left).await, self.status(right).await);
            if a.position == b.position {
                assert_eq!(a.keys, b.keys);
                return;
            }
            assert!(Instant::now() < deadline, "{a:?}\n{b:?}");
            pause().await;
        }
    }

    /// Fences a shard with those of its members that run, and makes the best of them primary.
    pub async fn promote(&mut self, shard: &str) -> String {
        self.promote_rather(shard, "").await
    }

    /// The same; of equally good members this one wins.
    pub async fn promote_rather(&mut self, shard: &str, favourite: &str) -> String {
        let shard = self.topology.shard(shard).unwrap().clone();
        let epoch = shard.epoch + 1;
        let mut best = None;
        let mut promised = 0;
        for name in shard.electable() {
            if !self.running.contains_key(name) {
                continue;
            }
            let reply = self
                .ask(name, &AdminRequest::Promise { epoch })
                .await
                .unwrap();
            let status: MemberStatus = serde_json::from_slice(reply.as_bytes().unwrap()).unwrap();
            assert_eq!(status.promised_epoch, epoch);
            if !status.clean {
                continue;
            }
            promised += 1;
            best = best.max(Some((status.position, name == favourite, name.to_owned())));
        }
        assert!(promised >= shard.promises_needed(), "too few promises");
        let winner = best.unwrap().2;
        self.change(|topology| {
            let shard = topology.shard_mut(&shard.name).unwrap();
            shard.epoch = epoch;
            shard.primary = Some(winner.clone());
        })
        .await;
        winner
    }

    pub fn set_standing(topology: &mut Topology, name: &str, standing: Standing) {
        for shard in &mut topology.shards {
            if let Some(member) = shard.member_mut(name) {
                member.standing = standing;
            }
        }
    }

    /// Moves slots and waits until their source has given them away, then commits that.
    pub async fn migrate(&mut self, id: &str, slots: &str, source: &str, target: &str) {
        let migration = Migration {
            id: id.to_owned(),
            slots: slots.parse().unwrap(),
            source: source.to_owned(),
            target: target.to_owned(),
            cancelled: false,
        };
        let slots = migration.slots.clone();
        self.change(|topology| topology.migrations.push(migration))
            .await;
        let primary = self
            .topology
            .shard(source)
            .unwrap()
            .primary
            .clone()
            .unwrap();
        self.until(&primary, |status| {
            let phase = |m: &protocol::status::MigrationProgress| m.phase;
            status
                .migrations
                .iter()
                .map(phase)
                .any(|p| p == protocol::status::MigrationPhase::Committed)
        })
        .await;
        self.change(|topology| {
            topology.shard_mut(source).unwrap().slots.remove_all(&slots);
            topology.shard_mut(target).unwrap().slots.insert_all(&slots);
            topology.migrations.clear();
        })
        .await;
    }
}

/// An `i64` of a reply.
pub fn number(reply: &Reply) -> i64 {
    match reply {
        Reply::Integer(number) => *number,
        other => panic!("not a number: {other:?}"),
    }
}

/// The text of a reply.
pub fn text(reply: &Reply) -> String {
    match reply {
        Reply::Simple(text) | Reply::Error(text) => text.clone(),
        Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Reply::Integer(number) => number.to_string(),
        Reply::Null => "(nil)".to_owned(),
        other => format!("{other:?}"),
    }
}
