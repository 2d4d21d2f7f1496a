//! One pass over one cluster: observe, desire, plan, apply, report; and when the next one is due.

use super::Shared;
use super::events::publish;
use super::object::{Newest, Written};
use crate::apply::{Hands, Outcome, apply};
use crate::crd::status::KVClusterStatus;
use crate::crd::{KVCluster, Settings};
use crate::desire::{Desired, names};
use crate::observe::caches::ClusterKey;
use crate::observe::monitor::{Monitor, Table, Target};
use crate::observe::{ImportState, Kind, Observed, address_of};
use crate::plan::{Action, News, Plan, Verdict, plan};
use crate::report::{self, Pass};
use k8s_openapi::ByteString;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use protocol::topology::{Standing, Topology};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// A pass at least so often, whatever the watches say.
const RESYNC: Duration = Duration::from_secs(30);

/// While members catch up or slots move, counters decide, and counters wake nobody.
const TICK: Duration = Duration::from_millis(200);

/// After a change of objects, for the watches to bring it back; they wake the pass when they do.
const WATCH_DELAY: Duration = Duration::from_millis(50);

/// After a failed step; doubled with every further failure.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Counters in the status are at most so old.
const COUNTERS: Duration = Duration::from_secs(10);
const COUNTERS_MOVING: Duration = Duration::from_secs(1);

/// Keeps one cluster.
pub struct Keeper {
    shared: Arc<Shared>,
    key: ClusterKey,
    wake: Arc<Notify>,
    table: Arc<Table>,
    monitor: Monitor,
    newest: Newest,
    found: BTreeMap<String, Option<Topology>>,
    imports: BTreeMap<String, ImportState>,
    /// The last settings that could be carried out.
    settings: Option<Settings>,
    failures: u32,
    written: Option<Instant>,
}

impl Keeper {
    pub fn new(shared: Arc<Shared>, key: ClusterKey, wake: Arc<Notify>) -> Self {
        let table = Arc::new(Table::new(wake.clone()));
        Self {
            shared,
            key,
            wake,
            monitor: Monitor::new(table.clone()),
            table,
            newest: Newest::default(),
            found: BTreeMap::new(),
            imports: BTreeMap::new(),
            settings: None,
            failures: 0,
            written: None,
        }
    }

    /// Passes until aborted.
    pub async fn run(mut self) {
        loop {
            let begun = Instant::now();
            let (result, pause) = match self.pass().await {
                Ok(pause) => {
                    self.failures = 0;
                    ("ok", pause)
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    tracing::warn!(cluster = %self.key.name, namespace = %self.key.namespace,
                        error = format!("{error:#}"), "pass failed");
                    let pause = RETRY_MIN
                        .saturating_mul(1 << self.failures.min(10))
                        .min(RETRY_MAX);
                    ("error", pause)
                }
            };
            let labels = [self.key.namespace.as_str(), self.key.name.as_str()];
            let metrics = &self.shared.metrics;
            metrics
                .pass_seconds
                .with_label_values(&labels)
                .observe(begun.elapsed().as_secs_f64());
            metrics
                .passes
                .with_label_values(&[labels[0], labels[1], result])
                .inc();
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One pass; gives how long to wait for the next unless something happens.
    async fn pass(&mut self) -> anyhow::Result<Duration> {
        let Some(guarded) = self.shared.caches.cluster(&self.key) else {
            return Ok(RESYNC);
        };
        let cached = match &guarded.0 {
            Ok(cached) => cached,
            Err(invalid) => anyhow::bail!("the KVCluster cannot be read: {}", invalid.error),
        };
        let cluster = self.newest.of(cached);
        if cluster.metadata.deletion_timestamp.is_some() {
            self.monitor.follow(BTreeMap::new());
            return Ok(RESYNC);
        }
        let settings = match (Settings::of(&cluster.spec), &self.settings) {
            (Ok(settings), _) => settings,
            (Err(error), known) => {
                let known = known.clone();
                self.report_invalid(&cluster, &error).await?;
                // What runs goes on under the last settings that made sense.
                let Some(known) = known else {
                    return Ok(RESYNC);
                };
                known
            }
        };
        self.settings = Some(settings.clone());
        let (observed, password) = self.observe(&cluster, &settings);
        let desired = Desired::of(&cluster, settings, &self.shared.image, &observed);
        let plan = plan(&desired, &observed);
        self.carry_out(&cluster, &desired, &observed, &plan, password.as_deref())
            .await
    }

    /// Reads the caches and the monitor's table; nothing here waits.
    fn observe(&mut self, cluster: &KVCluster, settings: &Settings) -> (Observed, Option<String>) {
        let caches = &self.shared.caches;
        let pods = caches.pods(&self.key);
        let objects = caches.objects(&self.key);
        let secret = objects.get(&(Kind::Secret, names::secret(&self.key.name)));
        let password = secret.and_then(|secret| {
            let value = secret["data"][crate::desire::access::PASSWORD_KEY].clone();
            let bytes: ByteString = serde_json::from_value(value).ok()?;
            String::from_utf8(bytes.0).ok()
        });
        let detection = Duration::from_millis(settings.failover.detection_timeout_ms.into());
        let targets = pods.iter().filter_map(|(name, pod)| {
            let target = Target {
                pod_uid: pod.uid.clone(),
                address: address_of(pod.ip.as_ref()?),
                password: password.clone(),
                detection,
            };
            Some((name.clone(), target))
        });
        self.monitor.follow(targets.collect());
        let force = cluster.annotations().get(names::FORCE_PROMOTE);
        let force = force
            .iter()
            .flat_map(|names| names.split(','))
            .map(|name| name.trim().to_owned());
        let observed = Observed {
            topology: cluster
                .status
                .as_ref()
                .and_then(|status| status.topology.clone()),
            found: self.found.clone(),
            members: self.table.views(&pods),
            pods,
            objects,
            claims: caches.claims(&self.key),
            imports: self.imports.clone(),
            force_promote: force.collect(),
        };
        (observed, password)
    }

    async fn carry_out(
        &mut self,
        cluster: &KVCluster,
        desired: &Desired,
        observed: &Observed,
        plan: &Plan,
        password: Option<&str>,
    ) -> anyhow::Result<Duration> {
        let actions = match &plan.verdict {
            Verdict::Act(actions, because) => {
                tracing::info!(cluster = %self.key.name, namespace = %self.key.namespace,
                    rule = plan.rule, reason = because.reason.name(), "{}", because.message);
                actions.as_slice()
            }
            Verdict::Proceed | Verdict::Wait(..) => &[],
        };
        let hands = Hands {
            client: &self.shared.client,
            key: &self.key,
            table: &self.table,
            password,
            topology: observed.topology.as_ref(),
        };
        let outcome = apply(&hands, actions).await;
        self.learn(&outcome);
        let errors: Vec<String> = outcome.errors.iter().map(ToString::to_string).collect();
        let error = errors.join("; ");
        let error = (!error.is_empty()).then_some(error.as_str());
        self.report(cluster, desired, observed, plan, error).await?;
        if let Some(error) = error {
            anyhow::bail!("{error}");
        }
        Ok(next(plan, observed))
    }

    fn learn(&mut self, outcome: &Outcome) {
        self.found.clone_from(&outcome.found);
        self.imports.clone_from(&outcome.imports);
    }

    async fn report(
        &mut self,
        cluster: &KVCluster,
        desired: &Desired,
        observed: &Observed,
        plan: &Plan,
        error: Option<&str>,
    ) -> anyhow::Result<()> {
        let commit = committed(plan);
        let now = Timestamp::now().to_string();
        let pass = Pass {
            desired,
            observed,
            topology: commit
                .map(|(topology, _)| topology)
                .or(observed.topology.as_ref()),
            plan,
            error,
            generation: cluster.metadata.generation,
            now: &now,
        };
        let before = cluster.status.clone().unwrap_or_default();
        let after = report::status(&pass, &before);
        self.count(desired, &after);
        if !self.is_worth_writing(&before, &after, plan, commit.is_some()) {
            return Ok(());
        }
        match self
            .newest
            .write(&self.shared.client, cluster, after)
            .await?
        {
            Written::Conflict => anyhow::bail!("the KVCluster was changed meanwhile"),
            Written::Done => {}
        }
        self.written = Some(Instant::now());
        if let Some((_, news)) = commit {
            self.announce(cluster, news);
        }
        Ok(())
    }

    fn is_worth_writing(
        &self,
        before: &KVClusterStatus,
        after: &KVClusterStatus,
        plan: &Plan,
        commits: bool,
    ) -> bool {
        if commits {
            return true;
        }
        let age = self.written.map_or(Duration::MAX, |at| at.elapsed());
        // Between the steps of a fail-over a write would only cost time.
        if report::is_passing(report::reason_of(plan)) && age < COUNTERS_MOVING {
            return false;
        }
        let moving = after
            .topology
            .as_ref()
            .is_some_and(|t| !t.migrations.is_empty());
        let patience = if moving { COUNTERS_MOVING } else { COUNTERS };
        report::differs(before, after) || (before != after && age >= patience)
    }

    async fn report_invalid(
        &mut self,
        cluster: &KVCluster,
        error: &crate::crd::SettingsError,
    ) -> anyhow::Result<()> {
        let before = cluster.status.clone().unwrap_or_default();
        let now = Timestamp::now().to_string();
        let after = report::invalid(error, &before, cluster.metadata.generation, &now);
        if before != after {
            self.newest
                .write(&self.shared.client, cluster, after)
                .await?;
        }
        Ok(())
    }

    /// Events are told in the background: nobody waits for them.
    fn announce(&self, cluster: &KVCluster, news: &[News]) {
        let labels = [self.key.namespace.as_str(), self.key.name.as_str()];
        let metrics = &self.shared.metrics;
        let migration = |event| {
            metrics
                .migrations
                .with_label_values(&[labels[0], labels[1], event])
        };
        for item in news {
            match item {
                News::PrimaryPromoted { .. } => metrics.promotions.with_label_values(&labels).inc(),
                News::MigrationStarted { .. } => migration("started").inc(),
                News::MigrationFinished { .. } => migration("finished").inc(),
                News::MigrationCancelled { .. } => migration("cancelled").inc(),
                News::Created { .. }
                | News::TopologyRecovered { .. }
                | News::ShardRebuilt { .. }
                | News::VoterAdded { .. }
                | News::VoterRemoved { .. }
                | News::MemberAdded { .. }
                | News::MemberRemoved { .. }
                | News::ShardAdded { .. }
                | News::ShardRemoved { .. } => {}
            }
            tracing::info!(cluster = %self.key.name, namespace = %self.key.namespace,
                reason = item.reason(), "{item}");
        }
        let (client, instance) = (self.shared.client.clone(), self.shared.identity.clone());
        tokio::spawn(publish(client, instance, cluster.clone(), news.to_vec()));
    }

    fn count(&self, desired: &Desired, status: &KVClusterStatus) {
        let labels = [self.key.namespace.as_str(), self.key.name.as_str()];
        let ready = status
            .ready
            .split('/')
            .next()
            .and_then(|ready| ready.parse().ok());
        let wanted = desired.settings.shards * desired.settings.members_per_shard();
        let metrics = &self.shared.metrics;
        metrics
            .members_ready
            .with_label_values(&labels)
            .set(ready.unwrap_or_default());
        metrics
            .members_wanted
            .with_label_values(&labels)
            .set(wanted.into());
    }
}

fn committed(plan: &Plan) -> Option<(&Topology, &[News])> {
    let Verdict::Act(actions, _) = &plan.verdict else {
        return None;
    };
    actions.iter().find_map(|action| match action {
        Action::Commit { topology, news } => Some((topology.as_ref(), news.as_slice())),
        _ => None,
    })
}

/// The effect shows in the members' answers or in our own write, not only in a watch.
fn is_seen_at_once(action: &Action) -> bool {
    match action {
        Action::Promise { .. }
        | Action::Handover { .. }
        | Action::Commit { .. }
        | Action::Push { .. }
        | Action::AskTopology { .. }
        | Action::AskImport { .. } => true,
        Action::CreateSecret(_)
        | Action::Apply(_)
        | Action::Delete { .. }
        | Action::DeletePod { .. }
        | Action::LabelPod { .. }
        | Action::GrowClaim { .. }
        | Action::DeleteClaim { .. } => false,
    }
}

/// When to look again if nothing happens: at once after an act.
fn next(plan: &Plan, observed: &Observed) -> Duration {
    let unsettled = observed.topology.as_ref().is_some_and(is_unsettled);
    let tick = if unsettled { TICK } else { RESYNC };
    match &plan.verdict {
        Verdict::Act(actions, _) if actions.iter().all(is_seen_at_once) => Duration::ZERO,
        Verdict::Act(..) => WATCH_DELAY,
        Verdict::Wait(_, ms) => tick.min(Duration::from_millis(*ms)),
        Verdict::Proceed => tick,
    }
}

fn is_unsettled(topology: &Topology) -> bool {
    let mut members = topology.shards.iter().flat_map(|shard| &shard.members);
    !topology.migrations.is_empty() || members.any(|member| member.standing != Standing::Voter)
}
