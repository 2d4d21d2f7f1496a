//! Stage 4, apply: carries out the plan's actions, together and each with a deadline. It decides
//! nothing. Every action may be repeated or cut short at any point.

mod kubernetes;
mod members;

use crate::desire::names;
use crate::observe::caches::ClusterKey;
use crate::observe::monitor::Table;
use crate::observe::{ImportState, Kind};
use crate::plan::Action;
use futures::future::join_all;
use kube::Client;
use protocol::client::ClientError;
use protocol::topology::Topology;
use std::collections::BTreeMap;
use thiserror::Error;

/// The name under which the operator owns fields of objects.
pub const FIELD_MANAGER: &str = "kv-operator";

/// What actions need to be carried out.
pub struct Hands<'a> {
    pub client: &'a Client,
    pub key: &'a ClusterKey,
    pub table: &'a Table,
    pub password: Option<&'a str>,
    /// The committed topology, which is what is pushed.
    pub topology: Option<&'a Topology>,
}

/// Why an action failed.
#[derive(Debug, Error)]
pub enum ApplyError {
    #[error("cannot {act} {kind:?} {name}: {}", brief(source))]
    Object {
        act: &'static str,
        kind: Kind,
        name: String,
        source: Box<kube::Error>,
    },
    #[error("cannot {act} pod {name}: {}", brief(source))]
    Pod {
        act: &'static str,
        name: String,
        source: Box<kube::Error>,
    },
    #[error("cannot {act} volume claim {name}: {}", brief(source))]
    Claim {
        act: &'static str,
        name: String,
        source: Box<kube::Error>,
    },
    #[error("cannot draw a password: {0}")]
    Random(getrandom::Error),
    #[error("{act} {member}: {source}")]
    Member {
        act: &'static str,
        member: String,
        source: ClientError,
    },
}

/// What the server said, without the whole response around it.
pub fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// What the actions brought to light.
#[derive(Debug, Default)]
pub struct Outcome {
    pub found: BTreeMap<String, Option<Topology>>,
    pub imports: BTreeMap<String, ImportState>,
    pub errors: Vec<ApplyError>,
}

impl Outcome {
    fn of(result: Result<(), ApplyError>) -> Self {
        Self {
            errors: result.err().into_iter().collect(),
            ..Self::default()
        }
    }

    fn absorb(mut self, other: Self) -> Self {
        self.found.extend(other.found);
        self.imports.extend(other.imports);
        self.errors.extend(other.errors);
        self
    }
}

/// Carries out all actions but Commit, which is part of the one status write of a pass.
pub async fn apply(hands: &Hands<'_>, actions: &[Action]) -> Outcome {
    let outcomes = join_all(actions.iter().map(|action| perform(hands, action))).await;
    outcomes
        .into_iter()
        .fold(Outcome::default(), Outcome::absorb)
}

async fn perform(hands: &Hands<'_>, action: &Action) -> Outcome {
    match action {
        Action::Commit { .. } => Outcome::default(),
        Action::Promise { epoch, members, .. } => members::promise(hands, *epoch, members).await,
        Action::Handover {
            epoch,
            from,
            to,
            members,
            ..
        } => members::hand_over(hands, *epoch, from, to, members).await,
        Action::Push { members } => members::push(hands, members).await,
        Action::AskTopology { members } => members::ask_topology(hands, members).await,
        Action::AskImport { id, target } => members::ask_import(hands, id, target).await,
        Action::CreateSecret(manifest) => {
            Outcome::of(kubernetes::create_secret(hands, manifest).await)
        }
        Action::Apply(manifest) => Outcome::of(kubernetes::apply(hands, manifest).await),
        Action::Delete { kind, name } => Outcome::of(kubernetes::delete(hands, *kind, name).await),
        Action::DeletePod { name, uid } => {
            Outcome::of(kubernetes::delete_pod(hands, name, uid).await)
        }
        Action::LabelPod { name, role } => {
            let labels = serde_json::json!({ names::ROLE_LABEL: role });
            Outcome::of(kubernetes::label_pod(hands, name, &labels).await)
        }
        Action::GrowClaim { name, size } => {
            Outcome::of(kubernetes::grow_claim(hands, name, size).await)
        }
        Action::DeleteClaim { name, uid } => {
            Outcome::of(kubernetes::delete_claim(hands, name, uid).await)
        }
    }
}
