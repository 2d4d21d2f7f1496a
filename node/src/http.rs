//! The HTTP port: `/metrics`, `/livez`, `/readyz`, `/startupz`.
//!
//! It runs on a thread of its own and asks the executor, so that `/livez` fails when that is stuck.
//! A script that clients can end keeps the executor from answering, but is no reason to restart.

use crate::clock::Clock;
use crate::member::{Member, Pulse, State};
use crate::metrics;
use anyhow::Context as _;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use protocol::status::Role;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the executor may take to answer before it counts as stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Questions that may wait.
const QUESTIONS_MAX: usize = 64;

#[derive(Debug, Clone, Copy)]
enum Question {
    Metrics,
    Live,
    Ready,
    Started,
}

type Answer = Result<String, String>;

type Asked = (Question, oneshot::Sender<Answer>);

#[derive(Clone)]
struct Asker {
    ask: mpsc::Sender<Asked>,
    scripts: Arc<Pulse>,
    clock: Clock,
}

/// Starts the port, when there is to be one.
pub fn start(member: &Rc<Member>) -> anyhow::Result<()> {
    let Some(port) = member.options.metrics_port else {
        return Ok(());
    };
    let address = SocketAddr::new(member.options.bind, port);
    let listener = TcpListener::bind(address);
    let listener = listener.with_context(|| format!("listening on {address} for metrics"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "metrics");
    let mut listeners = vec![listener];
    if let Some(also) = member.options.also_bind() {
        match TcpListener::bind(SocketAddr::new(also, address.port())) {
            Ok(listener) => listeners.push(listener),
            Err(error) => tracing::warn!("no metrics on {also}: {error}"),
        }
    }
    let (ask, mut questions) = mpsc::channel::<Asked>(QUESTIONS_MAX);
    member.spawn(async move |member| {
        while let Some((question, answer)) = questions.recv().await {
            // Nobody is left to be answered when the client has gone.
            let _ = answer.send(member.with(|state| respond(state, question)));
        }
    });
    let asker = Asker {
        ask,
        scripts: Arc::clone(&member.lines.pulse),
        clock: member.clock,
    };
    let serve = move || {
        if let Err(error) = serve(listeners, &asker) {
            tracing::error!("the metrics port: {error}");
        }
    };
    std::thread::Builder::new()
        .name("http".to_owned())
        .spawn(serve)?;
    Ok(())
}

fn serve(listeners: Vec<TcpListener>, asker: &Asker) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let route = |question: Question| {
        let asker = asker.clone();
        get(move || async move { asker.ask(question).await })
    };
    let router = Router::new()
        .route("/metrics", route(Question::Metrics))
        .route("/livez", route(Question::Live))
        .route("/readyz", route(Question::Ready))
        .route("/startupz", route(Question::Started));
    runtime.block_on(async {
        let mut serving = JoinSet::new();
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let router = router.clone();
            serving.spawn(async { axum::serve(listener, router).await });
        }
        while let Some(ended) = serving.join_next().await {
            ended.map_err(std::io::Error::other)??;
        }
        Ok(())
    })
}

impl Asker {
    async fn ask(&self, question: Question) -> impl IntoResponse + use<> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            if matches!(question, Question::Live) && self.scripts.beats(self.clock.monotonic_ms()) {
                return Some(Ok("a script runs\n".to_owned()));
            }
            self.ask.send((question, answer)).await.ok()?;
            answered.await.ok()
        };
        let (status, text) = match timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Some(Ok(text))) => (StatusCode::OK, text),
            Ok(Some(Err(text))) => (StatusCode::SERVICE_UNAVAILABLE, text),
            Ok(None) | Err(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the executor does not answer\n".to_owned(),
            ),
        };
        (
            status,
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
            text,
        )
    }
}

fn respond(state: &mut State, question: Question) -> Answer {
    let ok = || Ok("ok\n".to_owned());
    match question {
        Question::Metrics => metrics::render(state).map_err(|error| format!("{error}\n")),
        Question::Started if state.loading => Err("loading\n".to_owned()),
        Question::Live | Question::Started => ok(),
        Question::Ready => match unready(state) {
            Some(reason) => Err(format!("{reason}\n")),
            None => ok(),
        },
    }
}

/// Why clients should not be sent here.
fn unready(state: &State) -> Option<&'static str> {
    if state.stopping {
        return Some("stopping");
    }
    let link = state.link.as_ref();
    match state.role() {
        Role::Standalone => None,
        Role::Primary if state.lease_end_ms > state.clock.monotonic_ms() => None,
        Role::Primary => Some("no quorum confirms the lease"),
        Role::Replica if link.is_some_and(|link| link.connected && !link.syncing) => None,
        Role::Replica => Some("not in sync with the primary"),
        Role::Waiting => Some("waiting for a topology"),
        Role::Loading => Some("loading"),
        Role::Fenced => Some("fenced by a newer epoch"),
    }
}
