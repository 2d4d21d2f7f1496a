//! Pods and their processes.

use crate::plane::{OBEDIENT, Plane, WITHIN, container, pod, restarts, waiting_reason};
use e2e::kubelet::FaultError;
use e2e::scenario::eventually;
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, LogParams};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_shows_in_the_status_and_starts_again() {
    let plane = Plane::start().await;
    plane.apply(pod("p", &container(OBEDIENT))).await;
    plane.ready("p").await;
    plane.faults().kill("default", "p").unwrap();
    let again = plane
        .pod("p", |pod| {
            restarts(pod) == 1 && e2e::controllers::is_ready(pod)
        })
        .await;
    let status = serde_json::to_value(&again.status).unwrap();
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
    assert_eq!(last["reason"], "Error");
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_keeps_ending_is_started_with_back_off() {
    let plane = Plane::start().await;
    plane.apply(pod("p", &container("echo run; exit 3"))).await;
    let crashed = plane
        .pod("p", |pod| waiting_reason(pod) == "CrashLoopBackOff")
        .await;
    let status = serde_json::to_value(&crashed.status).unwrap();
    assert_eq!(status["phase"], "Running");
    assert_eq!(
        status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"],
        3
    );
    let pods: Api<Pod> = plane.api();
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    assert_eq!(pods.logs("p", &previous).await.unwrap(), "run\n");
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_image_is_said_to_be_unpullable() {
    let plane = Plane::start().await;
    let unknown = json!({"name": "main", "image": "example.test/nothing:1"});
    plane.apply(pod("p", &unknown)).await;
    let waiting = plane
        .pod("p", |pod| waiting_reason(pod) == "ImagePullBackOff")
        .await;
    assert_eq!(waiting.status.unwrap().phase.as_deref(), Some("Pending"));
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_its_variables_secrets_and_address() {
    let plane = Plane::start().await;
    plane
        .apply(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"password": "geheim"}}),
        )
        .await;
    let script =
        "echo $NAME $1 $KEY; cat $2/password; echo; test -n \"$KUBECONFIG\" && echo config";
    let mut main = container(script);
    main["args"] = json!(["-c", script, "sh", "--bind=$(IP)", "/etc/s"]);
    main["env"] = json!([
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
    ]);
    main["volumeMounts"] = json!([{"name": "s", "mountPath": "/etc/s", "readOnly": true}]);
    let mut whole = pod("p", &main);
    whole["spec"]["restartPolicy"] = json!("Never");
    whole["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "s"}}]);
    plane.apply(whole).await;
    let over = plane.pod("p", e2e::controllers::is_over).await;
    let status = over.status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Succeeded"));
    let pods: Api<Pod> = plane.api();
    let log = pods.logs("p", &LogParams::default()).await.unwrap();
    let address = status.pod_ip.unwrap();
    assert_eq!(log, format!("p --bind={address} geheim\ngeheim\nconfig\n"));
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_for_its_secret() {
    let plane = Plane::start().await;
    let mut main = container(OBEDIENT);
    main["env"] = json!([{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    plane.apply(pod("p", &main)).await;
    plane
        .pod("p", |pod| {
            waiting_reason(pod) == "CreateContainerConfigError"
        })
        .await;
    let secrets: Api<Secret> = plane.api();
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    secrets
        .create(&kube::api::PostParams::default(), &secret)
        .await
        .unwrap();
    plane.ready("p").await;
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_gives_the_process_its_grace_and_then_ends_it() {
    let plane = Plane::start().await;
    let stubborn = "trap '' TERM; while :; do tail -f /dev/null & wait $!; done";
    let mut whole = pod("stubborn", &container(stubborn));
    whole["spec"]["terminationGracePeriodSeconds"] = json!(1);
    plane.apply(whole).await;
    plane.apply(pod("obedient", &container(OBEDIENT))).await;
    plane.ready("stubborn").await;
    plane.ready("obedient").await;
    let pods: Api<Pod> = plane.api();
    let pid = plane.faults().pid("default", "stubborn").unwrap();
    for name in ["stubborn", "obedient"] {
        pods.delete(name, &DeleteParams::default()).await.unwrap();
        plane.gone::<Pod>(name).await;
    }
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_decide_about_readiness_and_restarts() {
    let plane = Plane::start().await;
    let mut main = container(OBEDIENT);
    let file = |name: &str| {
        json!({"exec": {"command": ["test", "-e", format!("/s/{name}")]},
        "periodSeconds": 1, "failureThreshold": 1})
    };
    main["readinessProbe"] = file("ready");
    main["livenessProbe"] = file("alive");
    main["volumeMounts"] = json!([{"name": "s", "mountPath": "/s"}]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("alive"), "").unwrap();
    let mut whole = pod("p", &main);
    whole["spec"]["volumes"] = json!([{"name": "s", "hostPath": {"path": directory.path()}}]);
    plane.apply(whole).await;
    let running = |pod: &Pod| {
        pod.status
            .as_ref()
            .is_some_and(|s| s.phase.as_deref() == Some("Running"))
    };
    let unready = plane.pod("p", running).await;
    assert!(!e2e::controllers::is_ready(&unready));
    std::fs::write(directory.path().join("ready"), "").unwrap();
    plane.ready("p").await;
    std::fs::remove_file(directory.path().join("alive")).unwrap();
    plane.pod("p", |pod| restarts(pod) >= 1).await;
    let events: Api<Event> = plane.api();
    let look = || async {
        let all = events
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        let reasons: Vec<String> = all
            .iter()
            .filter_map(|event| event.reason.clone())
            .collect();
        let told = ["Unhealthy", "Killing", "Started"]
            .iter()
            .all(|word| reasons.iter().any(|r| r == word));
        if told { Ok(()) } else { Err(reasons.join(" ")) }
    };
    eventually("the events", WITHIN, look).await.unwrap();
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_control_plane_that_is_dropped() {
    let plane = Plane::start().await;
    plane.apply(pod("p", &container(OBEDIENT))).await;
    plane.ready("p").await;
    let pid = plane.faults().pid("default", "p").unwrap();
    drop(plane);
    let look = || async {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_over = stat.is_empty() || stat.contains(") Z ");
        if is_over { Ok(()) } else { Err(stat) }
    };
    eventually("the end of the process", WITHIN, look)
        .await
        .unwrap();
}

/// A message over the connection, or why it did not come.
async fn exchange(from: &mut TcpStream, to: &mut TcpStream) -> Result<(), String> {
    from.write_all(b"x")
        .await
        .map_err(|error| error.to_string())?;
    let read = timeout(Duration::from_millis(300), to.read_u8()).await;
    let read = read.map_err(|_| "nothing came".to_owned())?;
    read.map(drop).map_err(|error| error.to_string())
}

/// A connection from one pod's address to another's, made by this process for both.
async fn connect(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0))?;
    socket.connect(to).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_carries_nothing_until_it_is_healed() {
    let plane = Plane::start().await;
    let mut addresses = Vec::new();
    for name in ["one", "other"] {
        plane.apply(pod(name, &container(OBEDIENT))).await;
        addresses.push(plane.ready(name).await.status.unwrap().pod_ip.unwrap());
    }
    let listener = TcpListener::bind((addresses[1].as_str(), 0)).await.unwrap();
    let target = listener.local_addr().unwrap();
    let mut near = connect(&addresses[0], target).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    exchange(&mut near, &mut far).await.unwrap();
    match plane.faults().cut("default", "one", "other").await {
        Err(FaultError::Unsupported(why)) => {
            eprintln!("SKIPPED: links cannot be cut here: {why}");
            return plane.platform.shutdown().await.unwrap();
        }
        cut => cut.unwrap(),
    }
    assert!(connect(&addresses[0], target).await.is_err());
    exchange(&mut near, &mut far).await.unwrap_err();
    exchange(&mut far, &mut near).await.unwrap_err();
    assert!(
        TcpStream::connect(target).await.is_ok(),
        "others still reach the pod"
    );
    plane.faults().heal().await.unwrap();
    let again = || async { connect(&addresses[0], target).await.map(drop) };
    eventually("the healed link", WITHIN, again).await.unwrap();
    // What was sent meanwhile arrives late, as over any network.
    let late = far.read_u8().await.unwrap();
    assert_eq!(late, b'x');
    plane.platform.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_process_is_there_and_does_nothing() {
    let plane = Plane::start().await;
    let endless = "exec tail -f /dev/null";
    plane.apply(pod("p", &container(endless))).await;
    plane.ready("p").await;
    let pid = plane.faults().pid("default", "p").unwrap();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
        after.flatten().unwrap_or('?')
    };
    let in_state = |wanted: &'static str| async move {
        let found = state();
        if wanted.contains(found) {
            Ok(())
        } else {
            Err(found)
        }
    };
    plane.faults().pause("default", "p").unwrap();
    eventually("the pause", WITHIN, || in_state("T"))
        .await
        .unwrap();
    plane.faults().resume("default", "p").unwrap();
    eventually("its end", WITHIN, || in_state("RSD"))
        .await
        .unwrap();
    assert_eq!(restarts(&plane.ready("p").await), 0);
    plane.platform.shutdown().await.unwrap();
}
