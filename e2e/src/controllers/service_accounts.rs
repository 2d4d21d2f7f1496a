//! Gives every namespace its ServiceAccount `default`.

use super::{Context, Outcome, drive, during, tolerate};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, stop: &CancellationToken) {
    let client = &context.client;
    let all = watcher::Config::default;
    let controller = Controller::new(Api::<Namespace>::all(client.clone()), all()).watches(
        Api::<ServiceAccount>::all(client.clone()),
        all(),
        |account| Some(ObjectRef::new(&account.namespace()?)),
    );
    drive(tasks, controller, context, stop, reconcile);
}

async fn reconcile(namespace: Arc<Namespace>, context: Arc<Context>) -> Outcome {
    if namespace.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let name = namespace.name_any();
    let accounts: Api<ServiceAccount> = Api::namespaced(context.client.clone(), &name);
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some("default".to_owned()),
            namespace: Some(name.clone()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    let found = accounts.get_opt("default").await;
    if found.map_err(during("reading a ServiceAccount"))?.is_none() {
        let created = accounts.create(&PostParams::default(), &account).await;
        // There already, or the namespace has gone meanwhile.
        let created = tolerate(created, 409).or_else(|error| tolerate(Err(error), 404));
        created.map_err(during(format!("creating the ServiceAccount of {name}")))?;
    }
    Ok(Action::await_change())
}
