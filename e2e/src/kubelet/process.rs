//! Starts, signals and outlives nothing: the processes of containers.
//!
//! Each is the leader of a process group of its own. Where `setpriv` exists (util-linux) the kernel
//! kills it when the kubelet's starter thread ends, however that happens. A record of each running
//! process lies in the state directory, so that the next start there can end what an earlier one
//! left behind.

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// What a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments; never empty.
    pub words: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub directory: PathBuf,
}

/// Starts processes from one thread that lives as long as this.
///
/// The kernel ties "kill the child when the parent dies" to the thread that started the child, so
/// it must not be a runtime's worker, which may end earlier.
#[derive(Debug, Clone)]
pub struct Starter {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Starter {
    /// Must be called within a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (requests, received) = mpsc::channel::<Request>();
        std::thread::Builder::new()
            .name("kubelet-starter".to_owned())
            .spawn(move || {
                let _entered = runtime.enter();
                for mut request in received {
                    // Nobody waits any more: the child is dropped and thereby killed.
                    let _ = request.answer.send(request.command.spawn());
                }
            })?;
        Ok(Self { requests })
    }

    /// Starts a process whose output goes to `log`.
    pub async fn start(&self, line: &CommandLine, log: File) -> io::Result<Running> {
        let errors = log.try_clone()?;
        let mut command = Self::command(line);
        command.stdout(log).stderr(errors);
        let child = self.spawn(command).await?;
        let gone = || io::Error::other("the process ended while it was started");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).ok_or_else(gone)?;
        Ok(Running { child, group: pid })
    }

    /// Runs a command to its end and says whether it succeeded, for probes.
    pub async fn succeeds(&self, line: &CommandLine) -> io::Result<bool> {
        let mut command = Self::command(line);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = self.spawn(command).await?;
        Ok(child.wait().await?.success())
    }

    fn command(line: &CommandLine) -> Command {
        let (program, arguments) = match line.words.split_first() {
            Some((program, arguments)) => (program.as_str(), arguments),
            None => ("", &[][..]),
        };
        let mut command = match guard() {
            Some(guard) => {
                let mut command = Command::new(guard);
                command.args(["--pdeathsig", "KILL", "--", program]);
                command
            }
            None => Command::new(program),
        };
        command
            .args(arguments)
            .env_clear()
            .current_dir(&line.directory);
        // Programs are found as on this machine, unless the container says otherwise.
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(
            line.environment
                .iter()
                .map(|(name, value)| (name, OsStr::new(value))),
        );
        command
            .stdin(std::process::Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    async fn spawn(&self, command: Command) -> io::Result<Child> {
        let ended = || io::Error::other("the starter thread has ended");
        let (answer, answered) = oneshot::channel();
        let request = Request { command, answer };
        self.requests.send(request).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

/// The program that makes the kernel kill a child with its parent.
fn guard() -> Option<&'static Path> {
    ["/usr/bin/setpriv", "/bin/setpriv"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.exists())
}

/// A running process and its group; the group is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
    group: Pid,
}

impl Running {
    pub fn group(&self) -> Pid {
        self.group
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        signal(self.group, Signal::KILL);
    }
}

/// Signals a process group. A group that is gone needs no signal, so its absence is no error.
pub fn signal(group: Pid, signal: Signal) {
    if let Err(error) = kill_process_group(group, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(?group, ?signal, %error, "signalling a process group");
    }
}

/// What is remembered of a running process.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pid: i32,
    /// Clock ticks after boot: tells the process from a later one with its number.
    start_time: u64,
}

/// A record of a process that is removed when the process has ended.
#[derive(Debug)]
pub struct Recorded(PathBuf);

impl Recorded {
    /// Remembers the process in `directory`.
    pub fn new(directory: &Path, group: Pid) -> io::Result<Self> {
        let pid = group.as_raw_nonzero().get();
        let path = directory.join(format!("{pid}.json"));
        let start_time = start_time(pid).unwrap_or(0);
        std::fs::write(&path, serde_json::to_vec(&Record { pid, start_time })?)?;
        Ok(Self(path))
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "removing a process record");
        }
    }
}

/// Kills what an earlier run left in `directory`, and forgets it.
pub fn end_leftovers(directory: &Path) -> io::Result<usize> {
    let mut ended = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let record: Option<Record> = serde_json::from_slice(&std::fs::read(&path)?).ok();
        if let Some(Record {
            pid,
            start_time: then,
        }) = record
            && start_time(pid) == Some(then)
            && let Some(group) = Pid::from_raw(pid)
        {
            signal(group, Signal::KILL);
            ended += 1;
        }
        std::fs::remove_file(&path)?;
    }
    Ok(ended)
}

/// When a process that has not ended yet was started: field 22 of `/proc/<pid>/stat` (proc(5)). The
/// name in field 2 may hold anything but is in parentheses; field 3 is the state.
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn endless(directory: &Path) -> CommandLine {
        CommandLine {
            words: ["tail", "-f", "/dev/null"].map(ToOwned::to_owned).to_vec(),
            environment: Vec::new(),
            directory: directory.to_owned(),
        }
    }

    #[tokio::test]
    async fn what_an_earlier_run_left_behind_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let records = tempfile::tempdir().unwrap();
        let starter = Starter::new().unwrap();
        let log = tempfile::tempfile().unwrap();
        let mut running = starter
            .start(&endless(directory.path()), log)
            .await
            .unwrap();
        let record = Recorded::new(records.path(), running.group()).unwrap();
        assert_eq!(end_leftovers(records.path()).unwrap(), 1);
        assert_eq!(running.child.wait().await.unwrap().signal(), Some(9));
        drop(record);
    }

    #[tokio::test]
    async fn a_later_process_with_the_same_number_is_left_alone() {
        let records = tempfile::tempdir().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let record = Record {
            pid: own,
            start_time: 1,
        };
        let path = records.path().join("x.json");
        std::fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        assert_eq!(end_leftovers(records.path()).unwrap(), 0);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn output_goes_to_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let words = ["sh", "-c", "echo out; echo err >&2; echo $NAME"];
        let line = CommandLine {
            words: words.map(ToOwned::to_owned).to_vec(),
            environment: vec![("NAME".to_owned(), "value".to_owned())],
            directory: directory.path().to_owned(),
        };
        let starter = Starter::new().unwrap();
        let log = File::create(&path).unwrap();
        let mut running = starter.start(&line, log).await.unwrap();
        assert!(running.child.wait().await.unwrap().success());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "out\nerr\nvalue\n");
    }
}
