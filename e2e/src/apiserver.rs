//! A small, honest Kubernetes API server in one process.
//!
//! HTTPS on loopback, objects in memory (and in a directory, if asked), everything through the real
//! HTTP API: stock `kubectl`, `helm` and `kube` clients work against it. It runs no controllers
//! but the garbage collector; pods, StatefulSets and the like belong to clients of it.
//!
//! A request goes `serve` -> `answer` (who, may they, what) -> `read`, `watch` or `write`. Every
//! change goes through `write::commit` under one lock, into `store`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

mod answer;
mod auth;
mod bootstrap;
mod call;
mod convert;
mod crd;
mod discovery;
mod failure;
mod gc;
mod managed_fields;
mod openapi;
mod patch;
mod protobuf;
mod rbac;
mod read;
mod reply;
mod resource;
mod review;
mod schema;
mod selector;
mod serve;
mod server;
mod snapshot;
mod store;
mod subresource;
mod table;
mod timestamp;
mod tls;
mod watch;
mod write;

use auth::{Claim, SavedTokens, Tokens};
use server::Server;
use snapshot::{Keeper, Saved};
use store::{Key, Objects};
use tls::Authority;

/// Life of the tokens in kubeconfigs made by [`ApiServer::service_account_kubeconfig`].
const KUBECONFIG_TOKEN_SECONDS: i64 = 365 * 24 * 3600;

/// Where a container's log is. The kubelet knows.
pub trait LogSource: Send + Sync {
    fn log_path(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Option<PathBuf>;
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Keeps the state here, and begins with what an earlier run kept.
    pub state_dir: Option<PathBuf>,
    /// Port 0: the port of the earlier run if it is free, else any.
    pub address: SocketAddr,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state_dir: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// A running server. Dropping it stops it without waiting; [`ApiServer::shutdown`] waits.
pub struct ApiServer {
    server: Arc<Server>,
    address: SocketAddr,
    authority: Authority,
    tasks: Vec<JoinHandle<()>>,
}

impl ApiServer {
    /// Listens before it returns: a client may connect at once.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let mut saved = match &options.state_dir {
            Some(directory) => {
                std::fs::create_dir_all(directory)
                    .with_context(|| format!("create {}", directory.display()))?;
                Saved::load(directory)?
            }
            None => None,
        };
        let (objects, tokens) = match &mut saved {
            Some(saved) => (saved.objects(), saved.tokens.clone()),
            None => (Objects::default(), SavedTokens::default()),
        };
        let authority = match &saved {
            Some(saved) => saved.authority.clone(),
            None => Authority::create()?,
        };
        let listener = listen(options.address, saved.as_ref().map(|saved| saved.port)).await?;
        let address = listener.local_addr().context("find the own address")?;
        let server = Arc::new(Server::new(objects, Tokens::new(tokens)));
        let registry = server.registry();
        server
            .transact(|objects| bootstrap::fill(objects, &registry))
            .map_err(|failure| anyhow::anyhow!("fill the new cluster: {}", failure.message))?;
        let mut started = Self {
            server,
            address,
            authority,
            tasks: Vec::new(),
        };
        started.spawn(listener, options.state_dir)?;
        Ok(started)
    }

    fn spawn(&mut self, listener: TcpListener, directory: Option<PathBuf>) -> anyhow::Result<()> {
        let names = [
            "localhost".into(),
            "kubernetes.default.svc".into(),
            self.address.ip().to_string(),
        ];
        let config = self.authority.server_config(&names)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = || Arc::clone(&self.server);
        self.tasks
            .push(tokio::spawn(serve::serve(server(), listener, acceptor)));
        self.tasks.push(tokio::spawn(gc::run(server())));
        if let Some(directory) = directory {
            let keeper = Keeper {
                server: server(),
                directory,
                authority: self.authority.clone(),
                port: self.address.port(),
            };
            keeper.save()?;
            self.tasks.push(tokio::spawn(keeper.run()));
        }
        Ok(())
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority that clients must trust.
    pub fn ca_pem(&self) -> &str {
        &self.authority.certificate
    }

    /// A kubeconfig that may do everything.
    pub fn admin_kubeconfig(&self) -> String {
        self.kubeconfig("kubernetes-admin", "default", &self.server.tokens.admin())
    }

    /// A kubeconfig of a ServiceAccount; fails when there is no such account.
    pub fn service_account_kubeconfig(
        &self,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<String> {
        let key = Key::new("serviceaccounts", namespace, name);
        let account = self.server.objects().get(&key).cloned();
        let account = account.with_context(|| format!("no ServiceAccount {namespace}/{name}"))?;
        let token = self.server.tokens.mint(Claim {
            namespace: namespace.into(),
            name: name.into(),
            uid: account["metadata"]["uid"]
                .as_str()
                .unwrap_or_default()
                .into(),
            expires_unix_seconds: timestamp::now_unix_seconds() + KUBECONFIG_TOKEN_SECONDS,
        });
        Ok(self.kubeconfig(name, namespace, &token))
    }

    /// A kubeconfig with this token, for example one that a TokenRequest answered.
    pub fn kubeconfig(&self, user: &str, namespace: &str, token: &str) -> String {
        use base64::Engine;
        let authority = base64::engine::general_purpose::STANDARD.encode(self.ca_pem());
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "kvcluster",
            "clusters": [{ "name": "kvcluster", "cluster": {
                "server": self.url(), "certificate-authority-data": authority,
            } }],
            "users": [{ "name": user, "user": { "token": token } }],
            "contexts": [{ "name": "kvcluster", "context": {
                "cluster": "kvcluster", "user": user, "namespace": namespace,
            } }],
        });
        // JSON values of texts and lists always have a YAML form; JSON itself is one.
        serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string())
    }

    pub fn set_log_source(&self, source: Arc<dyn LogSource>) {
        let slot = &self.server.log_source;
        *slot.write().unwrap_or_else(PoisonError::into_inner) = Some(source);
    }

    /// Stops serving, ends all watches, saves the state and waits for all of it.
    pub async fn shutdown(mut self) {
        self.server.stop.cancel();
        for task in self.tasks.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the API server failed");
            }
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.server.stop.cancel();
    }
}

async fn listen(address: SocketAddr, earlier_port: Option<u16>) -> anyhow::Result<TcpListener> {
    if let Some(port) = earlier_port.filter(|_| address.port() == 0)
        && let Ok(listener) = TcpListener::bind(SocketAddr::new(address.ip(), port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}"))
}
