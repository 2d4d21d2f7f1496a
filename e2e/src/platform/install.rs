//! Installs the operator as a user would: the CRD, then the chart's rendered objects.

use super::manifest::{apply, documents};
use super::{PlatformError, workspace_file};
use crate::controllers::is_ready;
use crate::scenario::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

const DEFINITION: &str = "crds/kvcluster.yaml";
const CHART: &str = "charts/install.yaml";
/// Where the chart puts the operator.
pub const OPERATOR_NAMESPACE: &str = "kv-system";
pub const OPERATOR_NAME: &str = "kv-operator";
/// Enough for a real cluster that has to pull the image first.
const AVAILABLE_WITHIN: Duration = Duration::from_secs(120);

/// What differs from the chart's own values.
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// Operator replicas; the chart's two when absent.
    pub replicas: Option<u32>,
    /// More variables of the operator's container.
    pub environment: Vec<(String, String)>,
}

/// Applies everything and waits until the operator is available.
pub async fn install(client: &Client, options: &InstallOptions) -> Result<(), PlatformError> {
    let definitions = read(DEFINITION)?;
    for definition in apply(client, definitions, "default").await? {
        let name = definition.metadata.name.unwrap_or_default();
        let what = format!("CRD {name} is established");
        let all: Api<CustomResourceDefinition> = Api::all(client.clone());
        let established = await_condition(all, &name, conditions::is_crd_established());
        let overdue = || PlatformError::Overdue {
            what: what.clone(),
            seconds: AVAILABLE_WITHIN.as_secs(),
        };
        let waited = timeout(AVAILABLE_WITHIN, established)
            .await
            .map_err(|_| overdue())?;
        waited.map_err(|error| PlatformError::Manifest(format!("waiting for {name}: {error}")))?;
    }
    let mut chart = read(CHART)?;
    for document in &mut chart {
        if document["kind"] == "Deployment" {
            adapt(document, options);
        }
    }
    apply(client, chart, OPERATOR_NAMESPACE).await?;
    let what = "the operator is available";
    let available = eventually(what, AVAILABLE_WITHIN, || is_available(client)).await;
    available.map_err(|overdue| PlatformError::Overdue {
        what: overdue.to_string(),
        seconds: AVAILABLE_WITHIN.as_secs(),
    })
}

/// The Deployment says so and its pods do too: an earlier run's status may still be there.
async fn is_available(client: &Client) -> Result<(), String> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let found = deployments
        .get(OPERATOR_NAME)
        .await
        .map_err(|error| error.to_string())?;
    if !is_rolled_out(&found) {
        return Err(format!("{:?}", found.status.unwrap_or_default()));
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let own = ListParams::default().labels("app.kubernetes.io/name=kv-operator");
    let pods = pods.list(&own).await.map_err(|error| error.to_string())?;
    match pods.iter().find(|pod| !is_ready(pod)) {
        Some(pod) => Err(format!("{} is not ready", pod.name_any())),
        None => Ok(()),
    }
}

fn read(path: &str) -> Result<Vec<Value>, PlatformError> {
    let file = workspace_file(path);
    let act = format!("reading {}", file.display());
    documents(&std::fs::read_to_string(file).map_err(PlatformError::files(act))?)
}

/// Replicas, variables, and the images that the environment names.
fn adapt(deployment: &mut Value, options: &InstallOptions) {
    if let Some(replicas) = options.replicas {
        deployment["spec"]["replicas"] = json!(replicas);
    }
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    if let Ok(image) = std::env::var("E2E_OPERATOR_IMAGE") {
        container["image"] = json!(image);
    }
    let mut variables = options.environment.clone();
    if let Ok(image) = std::env::var("E2E_NODE_IMAGE") {
        variables.push(("KV_NODE_IMAGE".to_owned(), image));
    }
    let Some(known) = container["env"].as_array_mut() else {
        return;
    };
    for (name, value) in variables {
        known.retain(|variable| variable["name"] != name.as_str());
        known.push(json!({"name": name, "value": value}));
    }
}

/// The present template is what runs, and all of it is available.
fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation >= deployment.metadata.generation
            && status.updated_replicas == Some(wanted)
            && status.available_replicas == Some(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_is_adapted_where_asked() {
        let mut chart = read(CHART).unwrap();
        let deployment = chart
            .iter_mut()
            .find(|found| found["kind"] == "Deployment")
            .unwrap();
        let options = InstallOptions {
            replicas: Some(1),
            environment: vec![("RUST_LOG".to_owned(), "debug".to_owned())],
        };
        adapt(deployment, &options);
        assert_eq!(deployment["spec"]["replicas"], 1);
        let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
        let named = |variable: &&Value| variable["name"] == "RUST_LOG";
        let found: Vec<&Value> = env.as_array().unwrap().iter().filter(named).collect();
        assert_eq!(found, [&json!({"name": "RUST_LOG", "value": "debug"})]);
    }
}
