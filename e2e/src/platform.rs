//! Where scenarios, the bench and the playground run: the embedded control plane, or any cluster.
//!
//! `E2E_PLATFORM=kubeconfig` chooses the cluster of the present kubeconfig; anything else, or
//! nothing, the embedded one. Faults that need hands on the processes exist only there.

mod binaries;
mod embedded;
mod install;
mod manifest;

pub use binaries::{Binaries, BinariesError};
pub use embedded::{Embedded, EmbeddedOptions, product_images};
pub use install::InstallOptions;
pub use manifest::documents;

use crate::kubelet::Faults;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use thiserror::Error;

/// The variable that chooses the platform.
pub const CHOICE: &str = "E2E_PLATFORM";

#[derive(Debug, Error)]
pub enum PlatformError {
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    #[error("{act}: {source}")]
    Files { act: String, source: io::Error },
    #[error("{act}: {source}")]
    Api { act: String, source: kube::Error },
    #[error("reading the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("starting the API server: {0}")]
    ApiServer(String),
    #[error("a manifest is not valid: {0}")]
    Manifest(String),
    #[error("{what} did not happen within {seconds} s")]
    Overdue { what: String, seconds: u64 },
}

impl PlatformError {
    fn files(act: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let act = act.into();
        move |source| Self::Files { act, source }
    }

    fn api(act: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let act = act.into();
        move |source| Self::Api { act, source }
    }
}

/// A cluster to work on.
pub struct Platform {
    client: Client,
    embedded: Option<Embedded>,
    /// Namespaces made here, which a cluster that stays gets rid of again.
    namespaces: Mutex<Vec<String>>,
}

impl Platform {
    /// The platform that the environment asks for.
    pub async fn start() -> Result<Self, PlatformError> {
        if std::env::var(CHOICE).is_ok_and(|choice| choice == "kubeconfig") {
            let client = Client::try_default().await;
            let client = client.map_err(PlatformError::api("connecting by the kubeconfig"))?;
            return Ok(Self::over(client, None));
        }
        Self::embedded(EmbeddedOptions::default()).await
    }

    /// An embedded control plane, whatever the environment says.
    pub async fn embedded(options: EmbeddedOptions) -> Result<Self, PlatformError> {
        let embedded = Embedded::start(options).await?;
        Ok(Self::over(embedded.client(), Some(embedded)))
    }

    fn over(client: Client, embedded: Option<Embedded>) -> Self {
        Self {
            client,
            embedded,
            namespaces: Mutex::new(Vec::new()),
        }
    }

    /// A client with every right.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// What kills, pauses and cuts; none on a cluster whose machines are out of reach.
    pub fn faults(&self) -> Option<Faults> {
        self.embedded.as_ref().map(Embedded::faults)
    }

    /// The kubeconfig file of the embedded control plane; none where the user's own is in force.
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.embedded.as_ref().map(Embedded::kubeconfig)
    }

    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// A new namespace whose name begins with `prefix`.
    pub async fn create_namespace(&self, prefix: &str) -> Result<String, PlatformError> {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{prefix}-{}", &random[..8]);
        let namespaces: Api<Namespace> = Api::all(self.client());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        let created = namespaces.create(&PostParams::default(), &namespace).await;
        created.map_err(PlatformError::api(format!("creating namespace {name}")))?;
        let mut made = self
            .namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        made.push(name.clone());
        Ok(name)
    }

    /// Applies a YAML text of any number of documents by server-side apply, in their order.
    /// Documents without a namespace go to `namespace`.
    pub async fn apply(
        &self,
        text: &str,
        namespace: &str,
    ) -> Result<Vec<DynamicObject>, PlatformError> {
        manifest::apply(&self.client, documents(text)?, namespace).await
    }

    /// Installs the CRD and the chart's objects, and waits until the operator is available.
    pub async fn install_operator(&self, options: &InstallOptions) -> Result<(), PlatformError> {
        install::install(&self.client, options).await
    }

    /// Stops everything that was started here. On a cluster that stays, deletes the namespaces.
    pub async fn shutdown(self) -> Result<(), PlatformError> {
        if let Some(embedded) = self.embedded {
            embedded.shutdown().await;
            return Ok(());
        }
        let namespaces: Api<Namespace> = Api::all(self.client);
        let made = self
            .namespaces
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        for name in made {
            let deleted = namespaces.delete(&name, &DeleteParams::background()).await;
            deleted.map_err(PlatformError::api(format!("deleting namespace {name}")))?;
        }
        Ok(())
    }
}

/// A file of this workspace: charts, CRDs and examples are read from the checkout that was built.
pub fn workspace_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
