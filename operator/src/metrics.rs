//! The operator's own metrics, in Prometheus' text format. Names are stable.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// One of each; cloned handles share their values.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Passes, by namespace, cluster and result.
    pub passes: IntCounterVec,
    pub pass_seconds: HistogramVec,
    pub promotions: IntCounterVec,
    pub migrations: IntCounterVec,
    pub members_ready: IntGaugeVec,
    pub members_wanted: IntGaugeVec,
    pub leader: IntGauge,
}

const CLUSTER: [&str; 2] = ["namespace", "cluster"];

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &CLUSTER);
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        let seconds = HistogramOpts::new(
            "kv_operator_pass_duration_seconds",
            "Duration of passes over a cluster",
        );
        let metrics = Self {
            registry: Registry::new(),
            passes: counter(
                "kv_operator_passes_total",
                "Passes over a cluster",
                &["namespace", "cluster", "result"],
            )?,
            pass_seconds: HistogramVec::new(seconds, &CLUSTER)?,
            promotions: counter(
                "kv_operator_promotions_total",
                "Primaries promoted, planned or not",
                &CLUSTER,
            )?,
            migrations: counter(
                "kv_operator_migrations_total",
                "Migrations of slots begun, finished and cancelled",
                &["namespace", "cluster", "event"],
            )?,
            members_ready: gauge("kv_operator_members_ready", "Members in sync")?,
            members_wanted: gauge("kv_operator_members_wanted", "Members the spec asks for")?,
            leader: IntGauge::new("kv_operator_leader", "1 when this process is the leader")?,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.passes.clone()))?;
        self.registry
            .register(Box::new(self.pass_seconds.clone()))?;
        self.registry.register(Box::new(self.promotions.clone()))?;
        self.registry.register(Box::new(self.migrations.clone()))?;
        self.registry
            .register(Box::new(self.members_ready.clone()))?;
        self.registry
            .register(Box::new(self.members_wanted.clone()))?;
        self.registry.register(Box::new(self.leader.clone()))
    }

    /// All values as text.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// A cluster is gone.
    pub fn forget(&self, namespace: &str, cluster: &str) {
        let labels = [namespace, cluster];
        // Absent when the cluster never had a pass.
        drop(self.members_ready.remove_label_values(&labels));
        drop(self.members_wanted.remove_label_values(&labels));
        drop(self.pass_seconds.remove_label_values(&labels));
        drop(self.promotions.remove_label_values(&labels));
    }
}
