//! Columns whose text is worked out from several fields: pods and claims.

use serde_json::{Value, json};

use super::timestamp;

fn list<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object[field].as_array().into_iter().flatten()
}

/// `1/2`: ready containers of all.
pub fn pod_ready(pod: &Value) -> String {
    let ready = list(&pod["status"], "containerStatuses")
        .filter(|c| c["ready"] == true)
        .count();
    format!("{ready}/{}", list(&pod["spec"], "containers").count())
}

/// The word in the STATUS column: the phase, or what keeps the pod from being well.
pub fn pod_status(pod: &Value) -> String {
    let status = &pod["status"];
    let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let mut word = text(&status["reason"])
        .or_else(|| text(&status["phase"]))
        .unwrap_or_else(|| "Unknown".into());
    let mut running = false;
    for container in list(status, "containerStatuses") {
        let state = &container["state"];
        let ended = &state["terminated"];
        if let Some(reason) = text(&state["waiting"]["reason"]).or_else(|| text(&ended["reason"])) {
            word = reason;
        } else if ended.is_object() {
            word = match ended["signal"].as_i64() {
                Some(signal) if signal != 0 => format!("Signal:{signal}"),
                _ => format!("ExitCode:{}", ended["exitCode"]),
            };
        } else if state["running"].is_object() && container["ready"] == true {
            running = true;
        }
    }
    if word == "Completed" && running {
        word = "Running".into();
    }
    if pod["metadata"].get("deletionTimestamp").is_some() {
        "Terminating".into()
    } else {
        word
    }
}

/// Restarts of all containers, and how long ago the last one was.
pub fn pod_restarts(pod: &Value) -> String {
    let statuses = || list(&pod["status"], "containerStatuses");
    let count: i64 = statuses().filter_map(|c| c["restartCount"].as_i64()).sum();
    let ended = statuses().filter_map(|c| c["lastState"]["terminated"]["finishedAt"].as_str());
    match ended
        .max()
        .and_then(timestamp::age_of)
        .filter(|_| count > 0)
    {
        Some(age) => format!("{count} ({age} ago)"),
        None => count.to_string(),
    }
}

pub fn access_modes(modes: &Value) -> Value {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    let modes: Vec<&str> = modes.as_array().into_iter().flatten().map(short).collect();
    json!(modes.join(","))
}

/// `6379/TCP,9121:30001/TCP`.
pub fn service_ports(service: &Value) -> String {
    let port = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_u64() {
            Some(node_port) if node_port > 0 => format!("{}:{node_port}/{protocol}", port["port"]),
            _ => format!("{}/{protocol}", port["port"]),
        }
    };
    let ports: Vec<String> = list(&service["spec"], "ports").map(port).collect();
    if ports.is_empty() {
        "<none>".into()
    } else {
        ports.join(",")
    }
}

/// `app=x,tier=y` of a map of labels.
pub fn labels(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    if pairs.is_empty() {
        "<none>".into()
    } else {
        pairs.join(",")
    }
}

/// Names or images of the containers in a pod spec.
pub fn containers(spec: &Value, field: &str) -> String {
    let texts: Vec<&str> = list(spec, "containers")
        .filter_map(|c| c[field].as_str())
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_word_names_what_keeps_a_pod_from_running() {
        let pod = |state: Value, ready: bool| {
            json!({
                "metadata": {},
                "status": { "phase": "Running", "containerStatuses": [
                    { "state": state, "ready": ready, "restartCount": 0 },
                ] },
            })
        };
        let table = [
            (pod(json!({ "running": {} }), true), "Running"),
            (
                pod(
                    json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
                    false,
                ),
                "CrashLoopBackOff",
            ),
            (
                pod(json!({ "terminated": { "exitCode": 3 } }), false),
                "ExitCode:3",
            ),
            (
                json!({ "metadata": { "deletionTimestamp": "x" }, "status": {} }),
                "Terminating",
            ),
            (
                json!({ "metadata": {}, "status": { "phase": "Pending" } }),
                "Pending",
            ),
        ];
        for (pod, expected) in table {
            assert_eq!(pod_status(&pod), expected);
        }
    }
}
