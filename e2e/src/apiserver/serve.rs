//! TCP, TLS and HTTP/1.1: accepts connections and hands each request to [`super::answer`].

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::server::Server;

/// A client that has not finished its handshake by then is not coming.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// An out-of-descriptors accept must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the server is told to stop.
pub async fn serve(server: Arc<Server>, listener: TcpListener, tls: TlsAcceptor) {
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection(Arc::clone(&server), stream, tls.clone()));
            }
            Err(error) => {
                debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(server: Arc<Server>, stream: TcpStream, tls: TlsAcceptor) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "no TCP_NODELAY");
    }
    let handshake = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await;
    let Ok(Ok(stream)) = handshake else {
        debug!("TLS handshake failed");
        return;
    };
    let stop = server.stop.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(respond(server, request).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        ended = serving => if let Err(error) = ended {
            debug!(%error, "connection ended");
        },
    }
}

async fn respond(server: Arc<Server>, request: Request<Incoming>) -> Response<Body> {
    super::answer::answer(&server, request.map(Body::new)).await
}
