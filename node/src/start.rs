//! Starts the process's tasks and ends them in order.

use crate::accept::accept;
use crate::commands;
use crate::execute::config::{Config, find, memory};
use crate::http;
use crate::log::files::Meta;
use crate::member::{IoThreads, Member, housekeeping, peers, rounds};
use crate::migrate::source;
use crate::options::Options;
use crate::persist::{self, new_id, rewrite};
use crate::process;
use crate::replicate::follow;
use anyhow::{Context as _, anyhow};
use protocol::status::Role;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;

/// Files, listeners and links that are open beside the clients' connections.
const DESCRIPTORS_BESIDE_CLIENTS: u64 = 128;

/// What an I/O thread watches its sockets with, and what wakes it.
const DESCRIPTORS_OF_THREAD: u64 = 2;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long a stopping replica waits to be taken off the voters.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long replies that are on their way may take when the process ends.
const LINGER: Duration = Duration::from_millis(100);

/// Runs a member until it is told to stop.
pub async fn run(options: Options) -> anyhow::Result<()> {
    process::refuse_huge_pages();
    let config = config_of(&options)?;
    allow_connections(&config)?;
    let (directory, meta) = match &options.dir {
        Some(dir) => {
            let (directory, meta) = persist::open(dir, config.fsync)?;
            (Some(directory), meta)
        }
        None => (
            None,
            Meta {
                id: new_id(),
                clean: true,
                ..Meta::default()
            },
        ),
    };
    let topology = meta.topology.clone();
    let member = Member::new(options, config, directory, meta);
    let member = Rc::new(member.context("watching connections")?);
    prepare(&member)?;
    if let Some(topology) = topology.filter(|_| member.options.cluster) {
        member.with(|state| state.use_topology(topology.into()));
    }
    let listeners = listen(&member)?;
    let accepting: Vec<AbortHandle> = listeners
        .into_iter()
        .map(|listener| member.spawn(|member| accept(member, listener)))
        .collect();
    rounds::start(&member).context("watching connections")?;
    start_io_threads(&member)?;
    member.spawn(housekeeping::flush);
    member.spawn(housekeeping::tick);
    member.spawn(housekeeping::free);
    member.spawn(housekeeping::compact);
    member.spawn(peers::run);
    http::start(&member)?;
    // In a cluster the log has the last word on users, else the file.
    if member.options.cluster {
        load_acl_file(&member)?;
        member.with(|state| state.engine.effects.clear());
    }
    persist::start(&member).await?;
    if !member.options.cluster {
        load_acl_file(&member)?;
    }
    member.spawn(housekeeping::watch_disk);
    member.spawn(follow::run);
    member.spawn(source::run);
    member.spawn(rewrite::run);
    stopped(&member).await?;
    hand_over(&member).await;
    accepting.iter().for_each(AbortHandle::abort);
    let finished = finish(&member).await;
    member.lines.end();
    finished
}

/// Starts the threads that serve sockets beside this one, which counts as one of them.
fn start_io_threads(member: &Rc<Member>) -> anyhow::Result<()> {
    let count = member.with(|state| state.engine.config.io_threads) - 1;
    if count > 0 {
        let threads = IoThreads::start(count).context("starting the I/O threads")?;
        let threads = Rc::clone(member.lines.io_threads.get_or_init(|| Rc::new(threads)));
        member.spawn(async move |member| threads.exchange(&member.lines).await);
    }
    Ok(())
}

fn load_acl_file(member: &Member) -> anyhow::Result<()> {
    member.load_acl_at_start().map_err(|reason| anyhow!(reason))
}

/// Raises the limit of file descriptors as far as the system allows and the clients may need.
fn allow_connections(config: &Config) -> anyhow::Result<()> {
    let beside = DESCRIPTORS_BESIDE_CLIENTS + DESCRIPTORS_OF_THREAD * u64::from(config.io_threads);
    let wanted = u64::from(config.maxclients) + beside;
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if limit.current.is_some_and(|current| current < allowed) {
        let raised = Rlimit {
            current: Some(allowed),
            ..limit
        };
        setrlimit(Resource::Nofile, raised).context("raising the limit of open files")?;
    }
    if allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "fewer open files allowed than maxclients may need"
        );
    }
    Ok(())
}

/// The configuration that the options ask for.
fn config_of(options: &Options) -> anyhow::Result<Config> {
    let mut config = Config {
        // The operator's network policies and passwords protect a cluster's members.
        protected_mode: !options.cluster,
        ..Config::default()
    };
    if let Some(text) = &options.maxmemory {
        config.maxmemory_bytes =
            memory(text, 0, u64::MAX >> 1).map_err(|reason| anyhow!("--maxmemory: {reason}"))?;
    }
    for setting in options.config.iter().filter(|setting| !setting.is_empty()) {
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| anyhow!("--config {setting}: not of the form name=value"))?;
        let option = find(name).ok_or_else(|| anyhow!("--config {name}: no such option"))?;
        let set = option
            .set
            .ok_or_else(|| anyhow!("--config {name}: cannot be set"))?;
        set(&mut config, value).map_err(|reason| anyhow!("--config {name}: {reason}"))?;
    }
    if let Some(path) = &options.password_file {
        config.requirepass = password_in(path)?;
    }
    Ok(config)
}

fn password_in(path: &std::path::Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("reading the password in {}", path.display()))?;
    let password = text.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(anyhow!("the password in {} is empty", path.display()));
    }
    Ok(password)
}

fn prepare(member: &Member) -> anyhow::Result<()> {
    let options = &member.options;
    let system_password = options
        .system_password_file
        .as_deref()
        .map(password_in)
        .transpose()?;
    let now_ms = member.clock.now_ms();
    let secret = secret();
    member.with(|state| {
        state.engine.system_password = system_password;
        state.engine.acl.set_secret(secret);
        state.engine.view.role = Role::Loading;
        state.engine.effects.discarded = !options.cluster && options.dir.is_none();
        let facts = &mut state.engine.view.facts;
        facts.run_id = new_id();
        let system = rustix::system::uname();
        facts.os = [system.sysname(), system.release(), system.machine()]
            .map(|part| part.to_string_lossy().into_owned())
            .join(" ");
        facts.bind = options.bind.to_string();
        facts.port = options.port;
        facts.started_ms = now_ms;
        facts.dir = options.dir.as_ref().map(|dir| dir.display().to_string());
    });
    Ok(())
}

/// Bytes that nobody can guess.
fn secret() -> [u8; 32] {
    let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    let mut secret = [0; 32];
    secret[..16].copy_from_slice(halves[0].as_bytes());
    secret[16..].copy_from_slice(halves[1].as_bytes());
    secret
}

fn listen(member: &Member) -> anyhow::Result<Vec<TcpListener>> {
    let options = &member.options;
    let address = SocketAddr::new(options.bind, options.port);
    let listener = listen_on(address).with_context(|| format!("listening on {address}"))?;
    let port = listener.local_addr()?.port();
    member.with(|state| state.engine.view.facts.port = port);
    tracing::info!(
        address = %listener.local_addr()?,
        commands = commands::CommandTable.all().len(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let mut listeners = vec![listener];
    if let Some(also) = options.also_bind() {
        match listen_on(SocketAddr::new(also, port)) {
            Ok(listener) => listeners.push(listener),
            Err(error) => tracing::warn!("not listening on {also}: {error}"),
        }
    }
    Ok(listeners)
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Waits for a signal or the command to stop.
async fn stopped(member: &Member) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to stop"),
        _ = interrupt.recv() => tracing::info!("interrupted"),
        () = member.signals.stop.notified() => tracing::info!("SHUTDOWN"),
    }
    Ok(())
}

/// A voter says that it wants to stop, and waits until nobody depends on it: until another primary
/// has taken over, or the writes need this replica no longer.
async fn hand_over(member: &Member) {
    member.with(|state| state.stopping = true);
    if !member.with(|state| state.is_needed()) {
        return;
    }
    tracing::info!("handing over");
    let taken = member.until(&member.signals.changed, |state| {
        (!state.is_needed()).then_some(())
    });
    let limit = match member.with(|state| state.role()) {
        Role::Replica => RELEASE_TIMEOUT,
        _ => Duration::from_secs(member.options.handover_timeout_seconds),
    };
    if tokio::time::timeout(limit, taken).await.is_err() {
        tracing::warn!("nobody took over in time");
    }
    // Clients whose requests waited are being told where to go.
    tokio::time::sleep(LINGER).await;
}

/// Writes everything to the disk and says so.
async fn finish(member: &Member) -> anyhow::Result<()> {
    let (stopped, meta) = member.with(|state| {
        state.append_effects();
        state.flush();
        let mut meta = state.meta.clone();
        meta.stopped_well = true;
        (state.log.disk().map(crate::log::disk::Disk::stop), meta)
    });
    if let (Some(stopped), Some(directory)) = (stopped, &member.directory) {
        stopped.await.context("the disk thread has ended")??;
        directory.write_meta(&meta)?;
    }
    tracing::info!("stopped");
    Ok(())
}
