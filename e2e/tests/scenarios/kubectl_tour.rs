//! The stock `kubectl` does with a cluster what people do with it.

use e2e::scenario::{PATIENCE, Scene, Tool, eventually, run, tool};

const MANIFEST: &str = "\
apiVersion: kvcluster.dev/v1alpha1
kind: KVCluster
metadata:
  name: demo
spec:
  shards: 1
  replicasPerShard: 1
  storage:
    size: 64Mi
";

/// `kubectl` in the scenario's namespace.
struct Kubectl<'a> {
    tool: Tool,
    scene: &'a Scene,
}

impl Kubectl<'_> {
    fn run(&self, line: &str) -> Result<String, String> {
        let namespace = ["-n", &self.scene.namespace];
        let words: Vec<&str> = namespace.into_iter().chain(line.split(' ')).collect();
        self.tool
            .run_with(&words, |command| self.scene.with_kubeconfig(command))
    }

    fn ok(&self, line: &str) -> String {
        self.run(line).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs it until what it prints has all these words.
    async fn shows(&self, line: &str, words: &[&str]) {
        let shown = eventually(line, PATIENCE, || async {
            let printed = self.run(line)?;
            let missing = words.iter().find(|word| !printed.contains(**word));
            missing.map_or(Ok(()), |word| Err(format!("no {word:?} in:\n{printed}")))
        });
        shown.await.unwrap();
    }
}

#[test]
fn the_stock_kubectl_works() {
    let Some(tool) = tool("kubectl") else {
        return;
    };
    run("kubectl", |scene| async move {
        let kubectl = Kubectl {
            tool,
            scene: &scene,
        };
        let directory = tempfile::tempdir()?;
        let manifest = directory.path().join("demo.yaml");
        std::fs::write(&manifest, MANIFEST)?;
        let apply = format!("apply -f {}", manifest.display());
        let applied = kubectl.ok(&apply);
        assert!(
            applied.contains("kvcluster.kvcluster.dev/demo created"),
            "{applied}"
        );
        kubectl.ok("wait kvcluster/demo --for=condition=Ready --timeout=90s");
        look(&kubectl).await;

        let unchanged = kubectl.ok(&apply);
        assert!(unchanged.contains("unchanged"), "{unchanged}");
        std::fs::write(&manifest, MANIFEST.replace("shards: 1", "shards: none"))?;
        let refused = kubectl.run(&apply).unwrap_err();
        assert!(refused.contains("spec.shards"), "{refused}");
        change(&kubectl).await;
        Ok(())
    });
}

/// Everything that only reads.
async fn look(kubectl: &Kubectl<'_>) {
    let columns = [
        "NAME",
        "SHARDS",
        "READY",
        "PHASE",
        "CONSISTENCY",
        "AGE",
        "2/2",
        "Quorum",
    ];
    kubectl.shows("get kvclusters", &columns).await;
    let objects = [
        "pod/demo-0-0",
        "statefulset.apps/demo-0",
        "service/demo",
        "data-demo-0-1",
    ];
    kubectl.shows("get pods,sts,svc,pvc", &objects).await;
    kubectl
        .shows("get kvcluster demo -o yaml", &["topology:"])
        .await;
    let described = ["Conditions:", "SlotsCovered", "Events:"];
    kubectl.shows("describe kvcluster demo", &described).await;
    kubectl.shows("logs demo-0-0", &["listening"]).await;
    kubectl
        .shows("explain kvcluster.spec.shards", &["hash slots"])
        .await;
}

/// Everything that changes the cluster, its end included.
async fn change(kubectl: &Kubectl<'_>) {
    let patch = r#"{"spec":{"config":{"timeout":"300"}}}"#;
    kubectl.ok(&format!("patch kvcluster demo --type=merge -p {patch}"));
    kubectl.ok("scale kvcluster demo --replicas=2");
    kubectl.shows("get kvcluster demo", &["4/4", "Ready"]).await;
    kubectl.ok("delete pod demo-1-0 --wait=true");
    kubectl.shows("get pods", &["demo-1-0"]).await;
    kubectl.ok("wait kvcluster/demo --for=condition=Ready --timeout=90s");
    kubectl.ok("delete kvcluster demo --wait=true --timeout=90s");
    let gone = eventually("nothing is left", PATIENCE, || async {
        let left = kubectl.run("get pods,sts,pvc -o name")?;
        left.trim().is_empty().then_some(()).ok_or(left)
    });
    gone.await.unwrap();
}

#[test]
fn an_editor_can_be_used() {
    let Some(tool) = tool("kubectl") else {
        return;
    };
    run("kubectl-edit", |scene| async move {
        let spec = serde_json::json!({"shards": 1, "replicasPerShard": 0});
        scene.create("demo", spec).await?;
        let edit = ["-n", &scene.namespace, "edit", "kvcluster", "demo"];
        let editor = r"sed -i 's/^spec:/spec:\n  memory: {policy: allkeys-lru}/'";
        let edited = tool.run_with(&edit, |command| {
            scene.with_kubeconfig(command).env("EDITOR", editor)
        });
        assert!(
            edited.as_ref().is_ok_and(|text| text.contains("edited")),
            "{edited:?}"
        );
        Ok(())
    });
}
