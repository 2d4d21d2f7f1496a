//! Evictions: deletions of pods that a PodDisruptionBudget may refuse.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::call::{Call, Target};
use super::super::failure::Failure;
use super::super::read;
use super::super::reply::Reply;
use super::super::resource::Resource;
use super::super::selector::Labels;
use super::super::server::Server;
use super::super::store::{Key, Objects};
use super::super::write::body;
use super::super::write::delete::{self, Options};

const BUDGETS: &str = "poddisruptionbudgets.policy";

pub fn answer(
    server: &Server,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    let eviction = body(call)?;
    let options = Options::of_eviction(&eviction, call)?;
    let key = read::key_of(resource, target);
    server.transact(|objects| {
        let pod = objects.get(&key).cloned();
        let pod = pod.ok_or_else(|| Failure::not_found(resource.subject(&target.name)))?;
        spend_budget(objects, &pod, options.dry_run)?;
        delete::delete(objects, resource, &key, &options)
    })?;
    let success =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
    Ok(Reply::json(201, &success))
}

/// Takes one allowed disruption from the pod's budget. A pod that does not run, or is not
/// ready, disrupts nothing that its budget protects only when the budget is met without it.
fn spend_budget(objects: &mut Objects, pod: &Value, dry_run: bool) -> Result<(), Failure> {
    let ended = matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed" | "Pending")
    );
    if ended || pod["metadata"].get("deletionTimestamp").is_some() {
        return Ok(());
    }
    let Some((key, budget)) = budget_of(objects, pod)? else {
        return Ok(());
    };
    let status = &budget["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    if !is_ready(pod)
        && count("currentHealthy") >= count("desiredHealthy")
        && count("desiredHealthy") > 0
    {
        return Ok(());
    }
    let observed = status["observedGeneration"].as_i64();
    let current = observed.is_none() || observed >= budget["metadata"]["generation"].as_i64();
    if !current || count("disruptionsAllowed") <= 0 {
        return Err(refused(
            &key.name,
            count("desiredHealthy"),
            count("currentHealthy"),
        ));
    }
    if dry_run {
        return Ok(());
    }
    let mut budget = budget;
    budget["status"]["disruptionsAllowed"] = json!(count_after(&budget));
    let name = pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if !budget["status"]["disruptedPods"].is_object() {
        budget["status"]["disruptedPods"] = json!({});
    }
    budget["status"]["disruptedPods"][name] = json!(super::timestamp::now());
    objects.put(key, budget);
    Ok(())
}

fn count_after(budget: &Value) -> i64 {
    budget["status"]["disruptionsAllowed"].as_i64().unwrap_or(0) - 1
}

fn budget_of(objects: &Objects, pod: &Value) -> Result<Option<(Key, Value)>, Failure> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let selects = |budget: &Value| {
        let selector = &budget["spec"]["selector"];
        !selector.is_null() && Labels::from_object(selector).matches(pod)
    };
    let mut found = objects
        .list(BUDGETS, Some(namespace))
        .filter(|(_, budget)| selects(budget));
    let first = found
        .next()
        .map(|(key, budget)| (key.clone(), Value::clone(budget)));
    if found.next().is_some() {
        let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource \
                    does not support.";
        return Err(Failure::new(500, "InternalError", text));
    }
    Ok(first)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn refused(budget: &str, desired: i64, healthy: i64) -> Failure {
    let text = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut failure = Failure::new(429, "TooManyRequests", text);
    failure.details = json!({ "causes": [{
        "reason": "DisruptionBudget",
        "message": format!(
            "The disruption budget {budget} needs {desired} healthy pods and has {healthy} \
             currently"
        ),
    }] });
    failure
}
