//! Runs one container: starts its process, watches it, starts it again by the restart policy.
//!
//! It reports every change at once and writes nothing to the API server; the pod's task does.

use super::Shared;
use super::backoff::Pauses;
use super::environment::{expand, variables};
use super::mounts::{Mount, rewrite};
use super::process::{CommandLine, Recorded, Running, signal};
use super::status::Exit;
use super::stop::Stop;
use super::supervise::supervise;
use super::volumes::sources;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How soon a missing Secret or the like is looked for again.
const CONFIG_RETRY: Duration = Duration::from_millis(500);
/// What a shell answers when a program cannot be run.
const CANNOT_RUN: i32 = 128;

/// Which container of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Init(usize),
    Main(usize),
}

/// What happened to a container.
#[derive(Debug)]
pub enum Report {
    Waiting {
        reason: &'static str,
        message: String,
    },
    Running {
        id: String,
        since: Timestamp,
        restarts: i32,
    },
    HasStarted,
    Ready(bool),
    Ended(Exit),
}

/// One container to run.
#[derive(Debug)]
pub struct Job {
    pub shared: Arc<Shared>,
    pub pod: Arc<Pod>,
    pub container: Container,
    pub slot: Slot,
    pub pod_ip: String,
    /// Working directory, when the container names none.
    pub directory: PathBuf,
    pub mounts: Vec<Mount>,
    /// Variables every container of the pod gets.
    pub given: Vec<(String, String)>,
    pub reports: mpsc::UnboundedSender<(Slot, Report)>,
    /// Restarts in an earlier life of the control plane.
    pub restarts: i32,
}

impl Job {
    pub fn report(&self, report: Report) {
        // The receiver is gone only when the pod's task has ended, and then nobody asks.
        let _ = self.reports.send((self.slot, report));
    }

    /// Runs until the container is over for good or `stop` is due; none when it never ran.
    pub async fn run(&self, mut stop: Stop) -> Option<Exit> {
        let mut pauses = Pauses::new(self.shared.backoff);
        let mut pulls = Pauses::new(self.shared.backoff);
        let mut restarts = self.restarts;
        while !stop.is_due() {
            let line = match self.command_line().await {
                Ok(line) => line,
                Err(problem) => {
                    self.tell(&problem);
                    let retry = problem.retry(&mut pulls, self);
                    stop.sleep(retry).await;
                    continue;
                }
            };
            let begun = Instant::now();
            let exit = self.run_once(&line, restarts, &mut stop).await;
            self.report(Report::Ended(exit.clone()));
            if stop.is_due() || !self.restarts_after(&exit) {
                return Some(exit);
            }
            let pause = pauses.after(begun.elapsed());
            if !pause.is_zero() {
                self.back_off(pause);
                stop.sleep(pause).await;
            }
            restarts += 1;
        }
        None
    }

    fn restarts_after(&self, exit: &Exit) -> bool {
        let spec = self.pod.spec.as_ref();
        let policy = spec
            .and_then(|spec| spec.restart_policy.as_deref())
            .unwrap_or("Always");
        match (self.slot, policy) {
            (_, "Never") => false,
            (Slot::Init(_), _) | (Slot::Main(_), "OnFailure") => exit.code != 0,
            (Slot::Main(_), _) => true,
        }
    }

    fn back_off(&self, pause: Duration) {
        let (name, pod) = (&self.container.name, self.pod.name_any());
        let message = format!("back-off {pause:?} restarting failed container={name} pod={pod}");
        let event = format!("Back-off restarting failed container {name} in pod {pod}");
        self.shared.events.warning(&self.pod, "BackOff", event);
        let reason = "CrashLoopBackOff";
        self.report(Report::Waiting { reason, message });
    }

    /// Program, arguments and environment with everything replaced.
    async fn command_line(&self) -> Result<CommandLine, Problem> {
        let image = self.container.image.clone().unwrap_or_default();
        let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
        let (command, args) = (words(&self.container.command), words(&self.container.args));
        let line = self.shared.images.command_line(&image, &command, &args);
        let line = line.ok_or_else(|| Problem::Image(image.clone()))?;
        let addresses = (self.pod_ip.as_str(), self.shared.host_ip_of(&self.pod));
        let sources = sources(&self.shared.client, &self.pod, &self.container, addresses).await;
        let sources = sources.map_err(Problem::Config)?;
        let own = variables(&self.pod, &self.container, &sources).map_err(Problem::Config)?;
        let place = |text: &str| rewrite(&expand(text, &own), &self.mounts);
        let mut environment = self.given.clone();
        let from_image = self.shared.images.variables(&image).iter();
        let expanded = from_image.map(|(name, value)| (name.clone(), expand(value, &self.given)));
        environment.extend(expanded);
        environment.retain(|(name, _)| !own.iter().any(|(known, _)| known == name));
        environment.extend(
            own.iter()
                .map(|(name, value)| (name.clone(), rewrite(value, &self.mounts))),
        );
        let directory = self
            .container
            .working_dir
            .as_deref()
            .map(|path| rewrite(path, &self.mounts));
        Ok(CommandLine {
            words: line.iter().map(|word| place(word)).collect(),
            environment,
            directory: directory.map_or_else(|| self.directory.clone(), PathBuf::from),
        })
    }

    fn tell(&self, problem: &Problem) {
        let events = &self.shared.events;
        match problem {
            Problem::Image(image) => {
                let message = format!("no program of this machine stands for image \"{image}\"");
                events.warning(
                    &self.pod,
                    "Failed",
                    format!("Error: ErrImagePull: {message}"),
                );
                let reason = "ErrImagePull";
                self.report(Report::Waiting { reason, message });
            }
            Problem::Config(message) => {
                events.warning(&self.pod, "Failed", format!("Error: {message}"));
                let (reason, message) = ("CreateContainerConfigError", message.clone());
                self.report(Report::Waiting { reason, message });
            }
        }
    }

    async fn run_once(&self, line: &CommandLine, restarts: i32, stop: &mut Stop) -> Exit {
        let started_at = Timestamp::now();
        let id = format!("process://{}", uuid::Uuid::new_v4().simple());
        let name = &self.container.name;
        let exit = |code, signal, reason: &str, message| Exit {
            code,
            signal,
            reason: reason.to_owned(),
            message,
            started_at,
            finished_at: Timestamp::now(),
            container_id: id.clone(),
        };
        let log = match self.shared.logs.open(&self.pod, name, restarts) {
            Ok(log) => log,
            Err(error) => {
                let message = format!("opening the log: {error}");
                return exit(CANNOT_RUN, None, "StartError", Some(message));
            }
        };
        let events = &self.shared.events;
        let image = self.container.image.as_deref().unwrap_or_default();
        let present = format!("Container image \"{image}\" already present on machine");
        events.normal(&self.pod, "Pulled", present);
        let mut running = match self.shared.starter.start(line, log).await {
            Ok(running) => running,
            Err(error) => {
                let message = format!("starting {:?}: {error}", line.words.first());
                events.warning(&self.pod, "Failed", format!("Error: {message}"));
                return exit(CANNOT_RUN, None, "StartError", Some(message));
            }
        };
        events.normal(&self.pod, "Created", format!("Created container: {name}"));
        let group = running.group();
        let _record = match Recorded::new(&self.shared.records, group) {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::warn!(%error, "recording a process");
                None
            }
        };
        let _listed = self.shared.processes.list(&self.pod, name, group);
        let (id, since) = (id.clone(), started_at);
        self.report(Report::Running {
            id,
            since,
            restarts,
        });
        events.normal(&self.pod, "Started", format!("Started container {name}"));
        match self.until_end(&mut running, line, stop).await {
            Ok(status) => {
                let (code, signal) = code_of(status);
                exit(
                    code,
                    signal,
                    if code == 0 { "Completed" } else { "Error" },
                    None,
                )
            }
            Err(error) => exit(
                CANNOT_RUN,
                None,
                "ContainerStatusUnknown",
                Some(error.to_string()),
            ),
        }
    }

    async fn until_end(
        &self,
        running: &mut Running,
        line: &CommandLine,
        stop: &mut Stop,
    ) -> std::io::Result<ExitStatus> {
        let events = &self.shared.events;
        let deadline = tokio::select! {
            status = running.child.wait() => return status,
            why = supervise(self, line) => {
                events.normal(&self.pod, "Killing", why);
                Some(Instant::now() + self.grace())
            }
            () = stop.due() => {
                let message = format!("Stopping container {}", self.container.name);
                events.normal(&self.pod, "Killing", message);
                None
            }
        };
        signal(running.group(), Signal::TERM);
        loop {
            let last = deadline.into_iter().chain(stop.deadline()).min();
            tokio::select! {
                status = running.child.wait() => return status,
                () = sleep_until(last) => break,
                () = stop.changed() => {}
            }
        }
        signal(running.group(), Signal::KILL);
        running.child.wait().await
    }

    fn grace(&self) -> Duration {
        let spec = self.pod.spec.as_ref();
        let seconds = spec
            .and_then(|spec| spec.termination_grace_period_seconds)
            .unwrap_or(30);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn code_of(status: ExitStatus) -> (i32, Option<i32>) {
    let signal = status.signal();
    let code = status.code().or_else(|| signal.map(|signal| 128 + signal));
    (code.unwrap_or(CANNOT_RUN), signal)
}

/// Why a container cannot be started yet.
#[derive(Debug)]
enum Problem {
    Image(String),
    Config(String),
}

impl Problem {
    /// When to try again; a missing image is waited for longer and longer.
    fn retry(&self, pulls: &mut Pauses, job: &Job) -> Duration {
        match self {
            Self::Config(_) => CONFIG_RETRY,
            Self::Image(image) => {
                let pause = pulls.after(Duration::ZERO).max(CONFIG_RETRY);
                let message = format!("Back-off pulling image \"{image}\"");
                job.shared
                    .events
                    .normal(&job.pod, "BackOff", message.clone());
                let reason = "ImagePullBackOff";
                job.report(Report::Waiting { reason, message });
                pause
            }
        }
    }
}
