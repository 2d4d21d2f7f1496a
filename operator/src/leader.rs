//! Leader election by a `coordination.k8s.io` Lease.
//!
//! A holder renews every second and stops acting after [`RENEW_DEADLINE`] without success, by its
//! own monotonic clock; another takes over when it has seen no renewal for [`LEASE_SECONDS`], by
//! its own. No clocks are compared between machines. Even two leaders at once could not contradict
//! each other: every decision is a compare-and-swap of a status.

use crate::apply::brief;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a Lease without renewal stands.
const LEASE_SECONDS: i32 = 6;

/// How long a holder acts without having renewed; shorter than the lease by more than one pass.
const RENEW_DEADLINE: Duration = Duration::from_secs(4);

/// Between two attempts to renew or to take.
const PERIOD: Duration = Duration::from_secs(1);

/// One candidate.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    /// The renewal last seen of another holder, and when it was first seen.
    seen: Option<(String, Instant)>,
}

impl Election {
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            seen: None,
        }
    }

    /// Waits until this candidate holds the lease.
    pub async fn win(&mut self) {
        loop {
            match timeout(RENEW_DEADLINE, self.take()).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(error = brief(&error), "cannot take the lease"),
                Err(_) => tracing::warn!("cannot take the lease: no answer"),
            }
            sleep(PERIOD).await;
        }
    }

    /// Renews until that has failed for too long, or somebody else holds the lease.
    pub async fn hold(&mut self) {
        let mut renewed = Instant::now();
        loop {
            sleep(PERIOD).await;
            let begun = Instant::now();
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            match timeout(left, self.take()).await {
                Ok(Ok(true)) => renewed = begun,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => tracing::warn!(error = brief(&error), "cannot renew the lease"),
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                return;
            }
        }
    }

    /// Gives the lease up, so that another takes over at once.
    pub async fn release(&mut self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = None;
        self.leases
            .replace(&self.name, &PostParams::default(), &lease)
            .await
            .map(drop)
    }

    /// Takes or renews the lease, if nobody else holds it.
    async fn take(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else {
            let lease = self.new_lease();
            return won(self.leases.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.get_or_insert_default();
        let holder = spec
            .holder_identity
            .clone()
            .filter(|holder| !holder.is_empty());
        let own = holder.as_ref() == Some(&self.identity);
        if !own && holder.is_some() && !self.has_expired(spec) {
            return Ok(false);
        }
        if !own {
            spec.acquire_time = Some(MicroTime(Timestamp::now()));
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default() + 1);
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(LEASE_SECONDS);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        won(self
            .leases
            .replace(&self.name, &PostParams::default(), &lease)
            .await)
    }

    /// The renewal has not changed for the lease's duration while this candidate watched.
    fn has_expired(&mut self, spec: &LeaseSpec) -> bool {
        let renewal = format!("{:?} {:?}", spec.holder_identity, spec.renew_time);
        let seconds = spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS).max(1);
        match &self.seen {
            Some((seen, since)) if *seen == renewal => {
                since.elapsed() >= Duration::from_secs(seconds as u64)
            }
            _ => {
                self.seen = Some((renewal, Instant::now()));
                false
            }
        }
    }

    fn new_lease(&self) -> Lease {
        let now = MicroTime(Timestamp::now());
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(LEASE_SECONDS),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// A conflict means that somebody else was quicker.
fn won(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
