//! The API server under the hands of the stock `kubectl` and `helm`.
//!
//! The tools are those that `KUBECTL` and `HELM` name, else those on the PATH. Without them the
//! tests say so and pass, unless `KV_REQUIRE_TOOLS=1`.
#![allow(clippy::unwrap_used)] // A test's functions beside its tests.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use e2e::apiserver::{ApiServer, Options};
use serde_json::Value;

/// Older ones neither validate on the server nor speak of it as these tests expect.
const KUBECTL_MINOR_MIN: u64 = 33;

struct Tool {
    program: PathBuf,
    home: tempfile::TempDir,
}

/// What a run printed.
struct Run {
    ok: bool,
    out: String,
    err: String,
}

fn minor_of(program: &str) -> Option<u64> {
    let output = Command::new(program)
        .args(["version", "--client", "-o", "json"])
        .output()
        .ok()?;
    let version: Value = serde_json::from_slice(&output.stdout).ok()?;
    let minor = version["clientVersion"]["minor"].as_str()?;
    minor.trim_end_matches('+').parse().ok()
}

fn absent(tool: &str) -> Option<Tool> {
    assert!(
        std::env::var("KV_REQUIRE_TOOLS").as_deref() != Ok("1"),
        "{tool} is required"
    );
    eprintln!(
        "SKIPPED: no usable {tool}; set {} to one",
        tool.to_uppercase()
    );
    None
}

fn kubectl(server: &ApiServer) -> Option<Tool> {
    let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".into());
    if minor_of(&program).is_none_or(|minor| minor < KUBECTL_MINOR_MIN) {
        return absent("kubectl");
    }
    Some(Tool::new(program, server))
}

fn helm(server: &ApiServer) -> Option<Tool> {
    let program = std::env::var("HELM").unwrap_or_else(|_| "helm".into());
    let version = Command::new(&program).arg("version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return absent("helm");
    }
    Some(Tool::new(program, server))
}

impl Tool {
    fn new(program: String, server: &ApiServer) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("kubeconfig"), server.admin_kubeconfig()).unwrap();
        Self {
            program: program.into(),
            home,
        }
    }

    fn run(&self, arguments: &str, input: &str) -> Run {
        let mut child = Command::new(&self.program)
            .args(arguments.split(' '))
            .env("HOME", self.home.path())
            .env("KUBECONFIG", self.home.path().join("kubeconfig"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run {
            ok: output.status.success(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    #[track_caller]
    fn good(&self, arguments: &str, input: &str) -> String {
        let run = self.run(arguments, input);
        assert!(run.ok, "{arguments}: {}{}", run.out, run.err);
        run.out
    }

    #[track_caller]
    fn refused(&self, arguments: &str, input: &str) -> String {
        let run = self.run(arguments, input);
        assert!(!run.ok, "{arguments} was not refused: {}", run.out);
        run.err
    }
}

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: things.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { plural: things, singular: thing, kind: Thing, shortNames: [th] }
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: { specReplicasPath: .spec.size, statusReplicasPath: .status.size }
    additionalPrinterColumns:
    - { name: Size, type: integer, jsonPath: .spec.size }
    - { name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status' }
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations:
            - { rule: "self.mode == oldSelf.mode", message: "mode is fixed" }
            properties:
              size: { type: integer, minimum: 1, description: How many. }
              mode: { type: string, enum: [Fast, Safe], default: Safe }
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
"#;

fn thing(spec: &str) -> String {
    format!("{{apiVersion: example.com/v1, kind: Thing, metadata: {{name: a}}, spec: {{{spec}}}}}")
}

async fn started() -> ApiServer {
    ApiServer::start(Options::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_on_a_custom_resource_from_definition_to_deletion() {
    let server = started().await;
    let Some(kubectl) = kubectl(&server) else {
        return;
    };
    kubectl.good("apply -f -", DEFINITION);
    kubectl.good(
        "wait --for=condition=Established crd/things.example.com --timeout=20s",
        "",
    );
    kubectl.good("apply -f -", &thing("size: 3"));
    let columns = kubectl.good("get th", "");
    assert!(columns.starts_with("NAME   SIZE   READY"), "{columns}");
    assert_eq!(
        kubectl.good("get thing a -o jsonpath={.spec.mode}", ""),
        "Safe"
    );
    kubectl.good("scale thing a --replicas=5", "");
    assert_eq!(
        kubectl.good("get thing a -o jsonpath={.spec.size}", ""),
        "5"
    );
    let ready = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    kubectl.good(
        &format!("patch thing a --subresource=status --type=merge -p {ready}"),
        "",
    );
    kubectl.good("wait --for=condition=Ready thing/a --timeout=20s", "");
    assert!(kubectl.good("describe thing a", "").contains("Size:  5"));
    assert!(
        kubectl
            .good("explain thing.spec.size", "")
            .contains("How many.")
    );
    kubectl.good("delete thing a --timeout=20s", "");
    kubectl.good("apply -f -", &thing("size: 3"));
    kubectl.good("delete -f - --timeout=20s", DEFINITION);
    // kubectl may still know the kind from its cache; then it is the server that does not.
    let gone = kubectl.refused("get things", "");
    let texts = [
        "doesn't have a resource type",
        "could not find the requested resource",
    ];
    assert!(texts.iter().any(|text| gone.contains(text)), "{gone}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_manifest_is_refused_with_the_field_and_what_is_allowed() {
    let server = started().await;
    let Some(kubectl) = kubectl(&server) else {
        return;
    };
    kubectl.good("apply -f -", DEFINITION);
    kubectl.good(
        "wait --for=condition=Established crd/things.example.com --timeout=20s",
        "",
    );
    let table = [
        (
            "size: 0",
            "The Thing \"a\" is invalid: spec.size: Invalid value: 0: spec.size in body should be \
             greater than or equal to 1",
        ),
        (
            "size: 1, mode: Slow",
            "The Thing \"a\" is invalid: spec.mode: Unsupported value: \"Slow\": supported values: \
             \"Fast\", \"Safe\"",
        ),
        (
            "mode: Fast",
            "The Thing \"a\" is invalid: spec.size: Required value",
        ),
        ("size: 1, sise: 2", "unknown field \"spec.sise\""),
        (
            "size: many",
            "spec.size in body must be of type integer: \"string\"",
        ),
    ];
    for (spec, expected) in table {
        let said = kubectl.refused("apply -f -", &thing(spec));
        assert!(said.contains(expected), "{spec}: {said}");
    }
    kubectl.good("apply -f -", &thing("size: 1, mode: Fast"));
    let said = kubectl.refused("apply -f -", &thing("size: 1, mode: Safe"));
    assert!(
        said.contains("spec: Invalid value: \"object\": mode is fixed"),
        "{said}"
    );
    server.shutdown().await;
}

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - name: c
        image: "i:1"
        ports: [{ containerPort: 80 }]
        resources: { limits: { cpu: "1" } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_built_in_kinds_from_both_sides() {
    let server = started().await;
    let Some(kubectl) = kubectl(&server) else {
        return;
    };
    kubectl.good("apply -f -", DEPLOYMENT);
    assert!(kubectl.good("apply -f -", DEPLOYMENT).contains("unchanged"));
    kubectl.good("apply -f -", &DEPLOYMENT.replace("i:1", "i:2"));
    let image = "get deploy web -o jsonpath={.spec.template.spec.containers[0].image}";
    assert_eq!(kubectl.good(image, ""), "i:2");
    kubectl.good("label deploy web a=b", "");
    kubectl.good("annotate deploy web a=b", "");
    kubectl.good("set image deploy/web c=i:3", "");
    let conflict = kubectl.refused("apply --server-side --field-manager=me -f -", DEPLOYMENT);
    assert!(conflict.contains("conflict"), "{conflict}");
    let force = "apply --server-side --field-manager=me --force-conflicts -f -";
    kubectl.good(force, DEPLOYMENT);
    assert_eq!(kubectl.good(image, ""), "i:1");
    assert!(
        kubectl
            .good("get deploy,sa -o wide", "")
            .contains("serviceaccount/default")
    );
    assert!(kubectl.good("api-resources", "").contains("deployments"));
    kubectl.good("create configmap m --from-literal=k=v", "");
    assert_eq!(kubectl.good("get cm m -o jsonpath={.data.k}", ""), "v");
    assert_eq!(kubectl.good("auth can-i delete pods", ""), "yes\n");
    assert!(!kubectl.run("auth can-i delete pods --as=nobody", "").ok);
    kubectl.good("delete deploy web --timeout=20s", "");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_upgrades_and_uninstalls() {
    let server = started().await;
    let Some(helm) = helm(&server) else { return };
    let chart = helm.home.path().join("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(
        chart.join("Chart.yaml"),
        "{apiVersion: v2, name: c, version: 0.1.0}",
    )
    .unwrap();
    std::fs::write(chart.join("values.yaml"), "n: 1").unwrap();
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n\
                    data: {n: \"{{ .Values.n }}\"}\n";
    std::fs::write(chart.join("templates/m.yaml"), template).unwrap();
    let path = chart.display();
    helm.good(&format!("install r {path}"), "");
    helm.good(&format!("upgrade r {path} --set n=2"), "");
    assert!(helm.good("get manifest r", "").contains("n: \"2\""));
    assert!(helm.good("list", "").contains("deployed"));
    helm.good("uninstall r", "");
    assert!(!helm.good("list", "").contains("deployed"));
    server.shutdown().await;
}
