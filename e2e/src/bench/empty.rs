//! A server that parses nothing and stores nothing: it answers `+OK` for every `*` it reads.

use clap::Args;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where it listens; named as a Redis server's options are.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[arg(long)]
    bind: String,
    #[arg(long)]
    port: u16,
}

/// Serves on one thread until the process is ended.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, accept(arguments))
}

async fn accept(arguments: &Arguments) -> anyhow::Result<()> {
    let address: SocketAddr = format!("{}:{}", arguments.bind, arguments.port).parse()?;
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            // A client that goes away ends its connection, which is all there is to do.
            let _ = serve(stream).await;
        });
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut replies = Vec::new();
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        // Requests of benchmarks hold no other asterisk.
        #[allow(clippy::naive_bytecount)] // Vectorised by the compiler well enough.
        let requests = buffer[..read].iter().filter(|&&byte| byte == b'*').count();
        replies.clear();
        replies.extend(b"+OK\r\n".repeat(requests));
        stream.write_all(&replies).await?;
    }
}
