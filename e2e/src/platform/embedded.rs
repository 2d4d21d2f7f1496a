//! The embedded control plane put together: API server, controllers, kubelet.

use super::{Binaries, PlatformError};
use crate::apiserver::{self, ApiServer};
use crate::controllers::{Controllers, NodeDescription};
use crate::kubelet::{Backoff, Credentials, Faults, Images, Kubelet, Logs};
use futures::FutureExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// How long processes get to end by themselves when everything stops. What a member has
/// acknowledged is with the kernel by then, so that nothing is lost when it takes longer.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// What an embedded control plane may be told.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Where everything is kept; a temporary directory when absent.
    pub state_dir: Option<PathBuf>,
    /// The programs that stand for images; `kv-node` and `kv-operator` of this workspace, built
    /// when needed, when absent.
    pub images: Option<Images>,
    pub backoff: Backoff,
    /// How many pretend machines there are, each a zone of its own.
    pub nodes: usize,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            state_dir: None,
            images: None,
            backoff: Backoff::short(),
            nodes: 3,
        }
    }
}

/// A running control plane. Dropping it kills every process it started.
pub struct Embedded {
    // In the order in which they are dropped.
    kubelet: Kubelet,
    controllers: Controllers,
    api: Arc<ApiServer>,
    client: Client,
    kubeconfig: PathBuf,
    _state: State,
}

/// The directory of everything, locked against a second control plane.
struct State {
    directory: PathBuf,
    _lock: File,
    _temporary: Option<TempDir>,
}

impl State {
    fn open(wanted: Option<PathBuf>) -> Result<Self, PlatformError> {
        let (directory, temporary) = if let Some(directory) = wanted {
            (directory, None)
        } else {
            let made = tempfile::Builder::new().prefix("kvcluster-").tempdir();
            let made = made.map_err(PlatformError::files("making a temporary directory"))?;
            (made.path().to_owned(), Some(made))
        };
        let act = format!("opening the state directory {}", directory.display());
        let failed = |source| PlatformError::Files {
            act: act.clone(),
            source,
        };
        std::fs::create_dir_all(&directory).map_err(failed)?;
        let directory = directory.canonicalize().map_err(failed)?;
        let lock = File::create(directory.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        Ok(Self {
            directory,
            _lock: lock,
            _temporary: temporary,
        })
    }
}

impl Embedded {
    pub async fn start(options: EmbeddedOptions) -> Result<Self, PlatformError> {
        let images = match options.images {
            Some(images) => images,
            None => product_images(&Binaries::ready().await?),
        };
        let state = State::open(options.state_dir)?;
        let directory = |name: &str| state.directory.join(name);
        let api = apiserver::Options {
            state_dir: Some(directory("api")),
            ..apiserver::Options::default()
        };
        let api = ApiServer::start(api).await;
        let api = Arc::new(api.map_err(|error| PlatformError::ApiServer(error.to_string()))?);
        let kubeconfig = directory("kubeconfig");
        let text = api.admin_kubeconfig();
        let written = std::fs::write(&kubeconfig, &text);
        written.map_err(PlatformError::files("writing the kubeconfig"))?;
        let client = client_of(&text).await?;
        let nodes = NodeDescription::several(options.nodes);
        let kubelet = crate::kubelet::Options {
            client: client.clone(),
            state: directory("kubelet"),
            nodes: nodes.clone(),
            images,
            backoff: options.backoff,
            credentials: credentials(&api),
        };
        crate::kubelet::forget_readiness(&client)
            .await
            .map_err(PlatformError::api("marking the pods of an earlier run"))?;
        let controllers = Controllers::start(client.clone(), directory("volumes"), nodes);
        let kubelet = Kubelet::start(kubelet).map_err(PlatformError::files("starting pods"))?;
        api.set_log_source(Arc::new(kubelet.logs()));
        Ok(Self {
            kubelet,
            controllers,
            api,
            client,
            kubeconfig,
            _state: state,
        })
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub fn faults(&self) -> Faults {
        self.kubelet.faults()
    }

    /// Stops controllers, pods and the API server, in this order.
    pub async fn shutdown(self) {
        self.controllers.shutdown().await;
        self.kubelet.shutdown(SHUTDOWN_GRACE).await;
        if let Some(api) = Arc::into_inner(self.api) {
            api.shutdown().await;
        }
    }
}

/// The images of the product, as these programs.
pub fn product_images(binaries: &Binaries) -> Images {
    Images::default()
        .with("kv-node", &binaries.node)
        .with("kv-operator", &binaries.operator)
        // In a container it listens on every address; here those belong to every pod.
        .with_variable("kv-operator", "KV_HEALTH_ADDRESS", "$(POD_IP)")
}

async fn client_of(kubeconfig: &str) -> Result<Client, PlatformError> {
    let parsed = Kubeconfig::from_yaml(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
    Client::try_from(config).map_err(PlatformError::api("connecting to the API server"))
}

fn credentials(api: &Arc<ApiServer>) -> Credentials {
    // Not held, so that the API server can be shut down by the one who started it.
    let api = Arc::downgrade(api);
    Arc::new(move |namespace, account| {
        let text = match api.upgrade() {
            Some(api) => api
                .service_account_kubeconfig(&namespace, &account)
                .map_err(|error| error.to_string()),
            None => Err("the API server has been shut down".to_owned()),
        };
        async move { text }.boxed()
    })
}

impl apiserver::LogSource for Logs {
    fn log_path(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Option<PathBuf> {
        self.file(namespace, pod, container, previous)
    }
}
