//! What to try once the cluster is ready.
//!
//! Pure.

use super::command::USAGE;
use super::view::View;
use std::path::Path;

const RESP_PORT: u16 = 6379;
const METRICS_PORT: u16 = 9121;

/// The kubeconfig, the addresses, five things to try.
pub fn lines(kubeconfig: Option<&Path>, views: &[View]) -> Vec<String> {
    let mut lines = vec![String::new()];
    if let Some(path) = kubeconfig {
        lines.push(format!("kubeconfig  export KUBECONFIG={}", path.display()));
    }
    let addresses = |view: &View| -> Vec<String> {
        view.pods
            .iter()
            .filter_map(|pod| pod.address.clone())
            .collect()
    };
    for view in views {
        let all = addresses(view);
        let Some(last) = all.last() else { continue };
        lines.push(format!(
            "RESP        {last}:{RESP_PORT} (any member of {})",
            view.name
        ));
        let metrics = all
            .iter()
            .map(|address| format!("http://{address}:{METRICS_PORT}/metrics"));
        lines.extend(metrics.map(|url| format!("metrics     {url}")));
    }
    lines.extend(views.first().and_then(tries).unwrap_or_default());
    lines.push(format!(
        "Type here to break things: {USAGE}. Ctrl-C stops everything."
    ));
    lines
}

fn tries(view: &View) -> Option<Vec<String>> {
    let name = &view.name;
    // Not the one to be killed, whose successor has another address.
    let last = view.pods.iter().rfind(|pod| pod.address.is_some())?;
    let address = last.address.as_deref()?;
    let primary = view.shards.iter().flat_map(|shard| &shard.members);
    let primary = primary.clone().find(|member| member.role == "Primary");
    let primary = primary.map_or(&last.name, |member| &member.name);
    let shards = view.shards.len() + 2;
    let tries = [
        (
            "write and read",
            format!("redis-cli -c -h {address} set hello world"),
        ),
        (
            "see the cluster",
            format!("kubectl get kvcluster {name}; kubectl describe kvcluster {name}"),
        ),
        (
            "kill a primary",
            format!("kubectl delete pod {primary}; kubectl get kvcluster {name} -w"),
        ),
        (
            "grow",
            format!("kubectl scale kvcluster {name} --replicas={shards}"),
        ),
        (
            "load it",
            format!("redis-benchmark --cluster -h {address} -t set,get -n 100000 -q"),
        ),
    ];
    let mut lines = vec![String::new(), "Five things to try:".to_owned()];
    let numbered = tries.into_iter().enumerate();
    lines.extend(numbered.map(|(index, (what, how))| format!("  {}. {what:16} {how}", index + 1)));
    lines.push(String::new());
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::example;
    use super::*;

    #[test]
    fn addresses_and_five_things_are_told() {
        let lines = lines(Some(Path::new("/tmp/k")), &[example(2, "True")]).join("\n");
        for part in [
            "export KUBECONFIG=/tmp/k",
            "RESP        127.7.0.3:6379",
            "redis-benchmark --cluster -h 127.7.0.3",
            "http://127.7.0.3:9121/metrics",
            "delete pod demo-0-0",
            "--replicas=3",
            "  5. load it",
        ] {
            assert!(lines.contains(part), "{part} is not in\n{lines}");
        }
    }
}
