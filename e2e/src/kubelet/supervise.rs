//! Watches over one running process with the container's probes.
//!
//! Startup first; while it has not passed, the others are not asked. Readiness is reported; a
//! failed startup or liveness probe ends the watch with the reason for the restart.

use super::ask::{ask, question};
use super::container::{Job, Report};
use super::mounts::rewrite;
use super::probe::{Counter, Question, Schedule, Verdict};
use super::process::CommandLine;
use k8s_openapi::api::core::v1::Probe;
use std::future::pending;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Ends only when the container has to be restarted, and says why.
pub async fn supervise(job: &Job, line: &CommandLine) -> String {
    let startup = Watch::of(job, "Startup", job.container.startup_probe.as_ref());
    if let Some(watch) = startup
        && let Some(why) = watch.until_first_pass(line).await
    {
        return why;
    }
    job.report(Report::HasStarted);
    let readiness = Watch::of(job, "Readiness", job.container.readiness_probe.as_ref());
    if readiness.is_none() {
        job.report(Report::Ready(true));
    }
    let liveness = Watch::of(job, "Liveness", job.container.liveness_probe.as_ref());
    let alive = async {
        match liveness {
            Some(watch) => watch.until_failure(line).await,
            None => pending().await,
        }
    };
    let ready = async {
        match readiness {
            Some(watch) => watch.report_readiness(line).await,
            None => pending().await,
        }
    };
    tokio::select! {
        why = alive => why,
        () = ready => pending().await,
    }
}

/// One probe of a running container.
struct Watch<'a> {
    job: &'a Job,
    kind: &'static str,
    schedule: Schedule,
    question: Question,
}

impl<'a> Watch<'a> {
    fn of(job: &'a Job, kind: &'static str, probe: Option<&Probe>) -> Option<Self> {
        let probe = probe?;
        let Some(question) = question(probe, &job.container, &job.pod_ip) else {
            let message = format!("{kind} probe is of a kind that is not supported here");
            job.shared.events.warning(&job.pod, "ProbeWarning", message);
            return None;
        };
        let question = match question {
            Question::Run { command } => Question::Run {
                command: command
                    .iter()
                    .map(|word| rewrite(word, &job.mounts))
                    .collect(),
            },
            asked @ (Question::Http { .. } | Question::Connect { .. }) => asked,
        };
        let schedule = Schedule::of(probe);
        Some(Self {
            job,
            kind,
            schedule,
            question,
        })
    }

    fn ticks(&self) -> tokio::time::Interval {
        let first = Instant::now() + self.schedule.initial_delay;
        let mut ticks = interval_at(first, self.schedule.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    async fn ask(&self, line: &CommandLine) -> Result<(), String> {
        let shared = &self.job.shared;
        let answer = ask(&self.question, self.schedule.timeout, &shared.starter, line).await;
        if let Err(error) = &answer {
            let message = format!("{} probe failed: {error}", self.kind);
            shared.events.warning(&self.job.pod, "Unhealthy", message);
        }
        answer
    }

    fn why(&self) -> String {
        let (name, kind) = (&self.job.container.name, self.kind.to_lowercase());
        format!("Container {name} failed {kind} probe, will be restarted")
    }

    async fn until_first_pass(&self, line: &CommandLine) -> Option<String> {
        let mut ticks = self.ticks();
        let mut counter = Counter::new(self.schedule);
        loop {
            ticks.tick().await;
            match counter.record(self.ask(line).await.is_ok()) {
                Some(Verdict::Passes) => return None,
                Some(Verdict::Fails) => return Some(self.why()),
                None => {}
            }
        }
    }

    async fn until_failure(&self, line: &CommandLine) -> String {
        let mut ticks = self.ticks();
        let mut counter = Counter::new(self.schedule);
        loop {
            ticks.tick().await;
            if counter.record(self.ask(line).await.is_ok()) == Some(Verdict::Fails) {
                return self.why();
            }
        }
    }

    async fn report_readiness(&self, line: &CommandLine) {
        let mut ticks = self.ticks();
        let mut counter = Counter::new(self.schedule);
        let mut ready = false;
        loop {
            ticks.tick().await;
            let verdict = counter.record(self.ask(line).await.is_ok());
            let now = verdict.map_or(ready, |verdict| verdict == Verdict::Passes);
            if now != ready {
                ready = now;
                self.job.report(Report::Ready(ready));
            }
        }
    }
}
