//! Watches: JSON lines of changes from a revision on, with bookmarks, until the client goes, its
//! time is up, or it has fallen behind the history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::call::{Call, Target};
use super::failure::Failure;
use super::read::{self, Form, Scope};
use super::reply::{JSON, Reply};
use super::resource::Resource;
use super::server::Server;
use super::store::{Change, ChangeKind};
use super::{convert, table};

/// Bookmarks keep a quiet watcher's revision young enough to resume from.
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);
/// Between the 30 and 60 minutes after which Kubernetes ends a watch.
const WATCH_MAX: Duration = Duration::from_secs(45 * 60);
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

struct Watcher {
    server: Arc<Server>,
    changed: tokio::sync::watch::Receiver<u64>,
    resource: Arc<Resource>,
    scope: Scope,
    call: Call,
    form: Form,
    cursor: u64,
    pending: VecDeque<Value>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    done: bool,
}

pub fn watch(
    server: &Arc<Server>,
    call: &Call,
    target: &Target,
    resource: &Arc<Resource>,
) -> Result<Reply, Failure> {
    let limit = call
        .number("timeoutSeconds")?
        .map_or(WATCH_MAX, Duration::from_secs);
    let now = Instant::now();
    let mut watcher = Watcher {
        server: Arc::clone(server),
        changed: server.changed.subscribe(),
        resource: Arc::clone(resource),
        scope: Scope::of(call, target)?,
        form: Form::of(call),
        call: call.clone(),
        cursor: call.number("resourceVersion")?.unwrap_or(0),
        pending: VecDeque::new(),
        bookmarks: call.flag("allowWatchBookmarks"),
        next_bookmark: now + BOOKMARK_EVERY,
        end: now + limit.min(WATCH_MAX),
        done: false,
    };
    watcher.begin();
    let lines = futures::stream::unfold(watcher, |mut watcher| async move {
        let line = watcher.next_lines().await?;
        Some((Ok::<_, std::convert::Infallible>(line), watcher))
    });
    Ok(Reply::stream(JSON, Body::from_stream(lines)))
}

impl Watcher {
    /// Queues the present objects where the client asked for them, and sets the cursor.
    fn begin(&mut self) {
        let wants_initial = match self.call.option("sendInitialEvents") {
            "" => self.cursor == 0,
            text => text == "true",
        };
        if !wants_initial {
            return;
        }
        let server = Arc::clone(&self.server);
        let objects = server.objects();
        let listed = objects.list(&self.resource.storage, self.scope.namespace.as_deref());
        let shown = listed.map(|(_, object)| convert::outgoing(&self.resource, object));
        let matching: Vec<Value> = shown.filter(|object| self.scope.matches(object)).collect();
        for object in matching {
            self.queue("ADDED", object);
        }
        self.cursor = objects.revision();
        drop(objects);
        if self.call.flag("sendInitialEvents") && self.bookmarks {
            self.bookmark(json!({ INITIAL_EVENTS_END: "true" }));
        }
    }

    fn queue(&mut self, kind: &str, object: Value) {
        let shown = match self.form {
            Form::Object => object,
            Form::Table => table::table(&self.resource, &[object], &self.call, json!({})),
            Form::Metadata => read::partial(&object),
        };
        self.pending
            .push_back(json!({ "type": kind, "object": shown }));
    }

    fn bookmark(&mut self, annotations: Value) {
        let mut metadata = json!({
            "resourceVersion": self.cursor.to_string(), "creationTimestamp": null,
        });
        if annotations.as_object().is_some_and(|map| !map.is_empty()) {
            metadata["annotations"] = annotations;
        }
        let object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version(),
            "metadata": metadata,
        });
        self.queue("BOOKMARK", object);
        self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
    }

    /// All lines that are due, as one chunk; `None` when the watch is over.
    async fn next_lines(&mut self) -> Option<Bytes> {
        loop {
            if !self.done {
                self.collect();
            }
            if !self.pending.is_empty() {
                return Some(self.drain());
            }
            if self.done {
                return None;
            }
            let server = Arc::clone(&self.server);
            tokio::select! {
                () = server.stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.end) => return None,
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.bookmark(json!({}));
                }
                changed = self.changed.changed() => if changed.is_err() {
                    return None;
                },
            }
        }
    }

    fn drain(&mut self) -> Bytes {
        let mut lines = Vec::new();
        for event in self.pending.drain(..) {
            lines.extend_from_slice(event.to_string().as_bytes());
            lines.push(b'\n');
        }
        Bytes::from(lines)
    }

    /// Moves the changes since the cursor into the queue.
    fn collect(&mut self) {
        self.changed.borrow_and_update();
        let server = Arc::clone(&self.server);
        let objects = server.objects();
        let changes: Vec<Arc<Change>> = match objects.changes_after(self.cursor) {
            Ok(changes) => changes.filter(|c| self.concerns(c)).cloned().collect(),
            Err(too_old) => {
                let failure = Failure::expired(self.cursor, too_old.oldest);
                self.pending
                    .push_back(json!({ "type": "ERROR", "object": failure.status() }));
                self.done = true;
                return;
            }
        };
        self.cursor = objects.revision().max(self.cursor);
        drop(objects);
        for change in changes {
            self.show(&change);
        }
    }

    fn concerns(&self, change: &Change) -> bool {
        change.key.resource == self.resource.storage
            && self
                .scope
                .namespace
                .as_ref()
                .is_none_or(|wanted| *wanted == change.key.namespace)
    }

    /// To a selector's watcher, an object that starts to match is added, and one that no longer
    /// matches is deleted.
    fn show(&mut self, change: &Change) {
        let object = convert::outgoing(&self.resource, &change.object);
        let matched = |object: &Arc<Value>| {
            self.scope
                .matches(&convert::outgoing(&self.resource, object))
        };
        let before = change.previous.as_ref().is_some_and(matched);
        let now = change.kind != ChangeKind::Deleted && self.scope.matches(&object);
        match (before, now) {
            (false, true) => self.queue("ADDED", object),
            (true, true) => self.queue("MODIFIED", object),
            (true, false) => self.queue("DELETED", object),
            (false, false) => {}
        }
    }
}
