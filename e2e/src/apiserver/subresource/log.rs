//! Container logs, read from the files that the kubelet writes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use serde_json::Value;

use super::super::call::{Call, Target};
use super::super::failure::Failure;
use super::super::read;
use super::super::reply::Reply;
use super::super::resource::Resource;
use super::super::server::Server;

/// How soon a follower sees new lines.
const POLL_EVERY: Duration = Duration::from_millis(50);
const CHUNK_BYTES: u64 = 64 << 10;

struct Follower {
    server: Arc<Server>,
    target: Target,
    resource: Arc<Resource>,
    container: String,
    path: PathBuf,
    position: u64,
    ready: Option<Bytes>,
    follow: bool,
}

pub async fn answer(
    server: &Arc<Server>,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    let pod = read::find(server, target, resource)?;
    let container = container_of(&pod, call.option("container"), &target.name)?;
    let previous = call.flag("previous");
    let source = server.log_source();
    let path = source
        .and_then(|source| source.log_path(&target.namespace, &target.name, &container, previous));
    let Some(path) = path.filter(|path| path.exists()) else {
        let what = if previous {
            "previous terminated container"
        } else {
            "container"
        };
        return Err(Failure::bad_request(format!(
            "{what} \"{container}\" in pod \"{}\" is waiting to start or not found",
            target.name
        )));
    };
    let tail = call.number("tailLines")?.map(|lines| lines as usize);
    let limit = call.number("limitBytes")?;
    let first = path.clone();
    let read = tokio::task::spawn_blocking(move || beginning(&first, tail, limit)).await;
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            500,
            "InternalError",
            format!("cannot read the log: {error}"),
        )
    };
    let (text, position) = read.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
    let follower = Follower {
        server: Arc::clone(server),
        target: target.clone(),
        resource: Arc::clone(resource),
        container,
        path,
        position,
        ready: Some(text),
        follow: call.flag("follow"),
    };
    let lines = futures::stream::unfold(follower, |mut follower| async move {
        let chunk = follower.next_chunk().await?;
        Some((Ok::<_, std::io::Error>(chunk), follower))
    });
    Ok(Reply::stream("text/plain", Body::from_stream(lines)))
}

/// The named container, or the only one.
fn container_of(pod: &Value, wanted: &str, pod_name: &str) -> Result<String, Failure> {
    let spec = &pod["spec"];
    let lists = ["containers", "initContainers"];
    let all = lists
        .iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten());
    let names: Vec<&str> = all.filter_map(|c| c["name"].as_str()).collect();
    if wanted.is_empty() {
        let count = spec["containers"].as_array().map_or(0, Vec::len);
        return match names.first() {
            Some(only) if count == 1 => Ok((*only).to_owned()),
            _ => Err(Failure::bad_request(format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                names.join(" ")
            ))),
        };
    }
    if names.contains(&wanted) {
        return Ok(wanted.to_owned());
    }
    let text = format!("container {wanted} is not valid for pod {pod_name}");
    Err(Failure::bad_request(text))
}

/// What is there now, its last lines if so asked, and where to go on.
fn beginning(
    path: &Path,
    tail: Option<usize>,
    limit_bytes: Option<u64>,
) -> std::io::Result<(Bytes, u64)> {
    let mut reader = BufReader::new(std::fs::File::open(path)?);
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    let mut position = 0;
    loop {
        let mut line = Vec::new();
        let count = reader.read_until(b'\n', &mut line)?;
        if count == 0 {
            break;
        }
        position += count as u64;
        kept.push_back(line);
        if tail.is_some_and(|lines| kept.len() > lines) {
            kept.pop_front();
        }
    }
    let mut text: Vec<u8> = kept.into_iter().flatten().collect();
    if let Some(limit) = limit_bytes {
        text.truncate(limit as usize);
    }
    Ok((Bytes::from(text), position))
}

impl Follower {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        if let Some(ready) = self.ready.take().filter(|ready| !ready.is_empty()) {
            return Some(ready);
        }
        while self.follow {
            // Asked before reading, so that the last lines of an ended container are not missed.
            let ended = self.has_ended();
            match read_from(&self.path, self.position) {
                Ok(chunk) if !chunk.is_empty() => {
                    self.position += chunk.len() as u64;
                    return Some(chunk);
                }
                Ok(_) if !ended => {}
                Ok(_) | Err(_) => return None,
            }
            tokio::select! {
                () = self.server.stop.cancelled() => return None,
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
        None
    }

    /// The pod is gone or the container's process has ended.
    fn has_ended(&self) -> bool {
        let Ok(pod) = read::find(&self.server, &self.target, &self.resource) else {
            return true;
        };
        let statuses = pod["status"]["containerStatuses"]
            .as_array()
            .into_iter()
            .flatten();
        let mut own = statuses.filter(|status| status["name"] == self.container.as_str());
        own.any(|status| !status["state"]["terminated"].is_null())
    }
}

fn read_from(path: &Path, position: u64) -> std::io::Result<Bytes> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(position))?;
    let mut chunk = Vec::new();
    file.take(CHUNK_BYTES).read_to_end(&mut chunk)?;
    Ok(Bytes::from(chunk))
}
