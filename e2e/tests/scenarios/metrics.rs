//! What dashboard, alerts and documentation speak of is what members and operator tell.

use super::spec;
use e2e::platform::workspace_file;
use e2e::scenario::{Scene, Tool, run, tool};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use std::collections::BTreeSet;
use std::fs;

/// Suffixes of the series of one histogram.
const HISTOGRAM: &[&str] = &["_bucket", "_sum", "_count"];

/// Words of `text` that are names of metrics.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("kv_"));
    let base = |word: &str| {
        let suffix = HISTOGRAM
            .iter()
            .find_map(|suffix| word.strip_suffix(suffix));
        suffix.unwrap_or(word).to_owned()
    };
    metrics.map(base).collect()
}

/// The metrics that a page tells of, by its `# TYPE` lines.
fn types_in(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// What the pods of a namespace with this label answer on `/metrics`.
async fn pages(
    scene: &Scene,
    curl: &Tool,
    namespace: &str,
    selector: &str,
    port: u16,
) -> anyhow::Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), namespace);
    let mut pages = Vec::new();
    for pod in pods.list(&ListParams::default().labels(selector)).await? {
        let ip = pod
            .status
            .and_then(|status| status.pod_ip)
            .unwrap_or_default();
        let url = format!("http://{ip}:{port}/metrics");
        pages.push(
            curl.run(&["-sS", "--fail", &url])
                .map_err(anyhow::Error::msg)?,
        );
    }
    Ok(pages)
}

#[test]
fn dashboard_alerts_and_documentation_speak_of_metrics_that_exist() {
    let (Some(curl), Some(promtool)) = (tool("curl"), tool("promtool")) else {
        return;
    };
    run("metrics", |scene| async move {
        let cluster = scene.create("demo", spec(1, 1)).await?;
        cluster.wait_until_ready().await?;
        cluster.wait_until_whole(2).await?;
        let own = cluster.selector();
        let mut found = pages(&scene, &curl, &scene.namespace, &own, 9121).await?;
        let operators = "app.kubernetes.io/name=kv-operator";
        found.extend(pages(&scene, &curl, "kv-system", operators, 8081).await?);
        let directory = tempfile::tempdir()?;
        for page in &found {
            let file = directory.path().join("page");
            fs::write(&file, page)?;
            let input = fs::File::open(&file)?;
            promtool
                .run_with(&["check", "metrics"], |command| {
                    // The handle is as good for a second run; there is none.
                    command.stdin(input.try_clone().unwrap())
                })
                .map_err(anyhow::Error::msg)?;
        }
        // A counter with labels has no type line before it is counted for the first time.
        let mut told: BTreeSet<String> = found.iter().flat_map(|page| types_in(page)).collect();
        told.insert("kv_operator_migrations_total".to_owned());
        for path in [
            "charts/kv-operator/dashboards/kvcluster.json",
            "charts/kv-operator/alerts/kvcluster.yaml",
            "docs/metrics.md",
        ] {
            let mentioned = metrics_in(&fs::read_to_string(workspace_file(path))?);
            let unknown: Vec<&String> = mentioned.difference(&told).collect();
            assert!(mentioned.len() > 10, "{path} mentions {mentioned:?}");
            assert!(unknown.is_empty(), "{path} mentions {unknown:?}");
        }
        Ok(())
    });
}
