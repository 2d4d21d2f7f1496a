//! A small client: one connection, pipelining, and a deadline on everything.
//!
//! For the operator, the members among themselves, and tests. It does not follow `-MOVED`.

use crate::admin::SYSTEM_USER;
use crate::resp::{Reply, ReplyError, read_reply, write_request};
use bytes::{Buf, BytesMut};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

/// Why a request got no reply.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error("connecting to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("no answer from {address} within {after:?}")]
    Timeout { address: String, after: Duration },
    #[error("talking to {address}: {source}")]
    Io { address: String, source: io::Error },
    #[error("{address} closed the connection")]
    Closed { address: String },
    #[error("{address} answered what is not RESP: {source}")]
    Malformed { address: String, source: ReplyError },
    #[error("{address} refused: {text}")]
    Refused { address: String, text: String },
}

impl ClientError {
    /// The process at the address is known not to be there: nothing listens, or the connection
    /// broke.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Connect { source, .. } | Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            ),
            Self::Closed { .. } => true,
            Self::Timeout { .. } | Self::Malformed { .. } | Self::Refused { .. } => false,
        }
    }
}

/// A connection to one member.
#[derive(Debug)]
pub struct Client {
    address: String,
    stream: TcpStream,
    buffer: BytesMut,
    deadline: Duration,
}

impl Client {
    /// Connects to `address` (`ip:port`). Every later request must be answered within `deadline`.
    pub async fn connect(address: &str, deadline: Duration) -> Result<Self, ClientError> {
        Self::connect_from(None, address, deadline).await
    }

    /// The same from a local address, where a process has one of several to use.
    pub async fn connect_from(
        source: Option<IpAddr>,
        address: &str,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        let connecting = timeout(deadline, dial(source, address)).await;
        let connected = connecting.map_err(|_| ClientError::Timeout {
            address: address.to_owned(),
            after: deadline,
        })?;
        let failed = |source| ClientError::Connect {
            address: address.to_owned(),
            source,
        };
        let stream = connected.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let buffer = BytesMut::with_capacity(16 * 1024);
        Ok(Self {
            address: address.to_owned(),
            stream,
            buffer,
            deadline,
        })
    }

    /// Connects and authenticates as the system user when there is a password.
    pub async fn connect_as_system(
        address: &str,
        password: Option<&str>,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        let client = Self::connect(address, deadline).await?;
        client.as_system(password).await
    }

    /// Authenticates as the system user when there is a password.
    pub async fn as_system(mut self, password: Option<&str>) -> Result<Self, ClientError> {
        if let Some(password) = password {
            self.call(&[b"AUTH", SYSTEM_USER.as_bytes(), password.as_bytes()])
                .await?;
        }
        Ok(self)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends one request and gives its reply; an error reply is [`ClientError::Refused`].
    pub async fn call(&mut self, arguments: &[&[u8]]) -> Result<Reply, ClientError> {
        match self.request(arguments).await? {
            Reply::Error(text) => Err(ClientError::Refused {
                address: self.address.clone(),
                text,
            }),
            reply => Ok(reply),
        }
    }

    /// Sends one request and gives its reply, an error reply included.
    pub async fn request(&mut self, arguments: &[&[u8]]) -> Result<Reply, ClientError> {
        let mut out = Vec::new();
        write_request(&mut out, arguments);
        self.send(&out).await?;
        self.receive().await
    }

    /// Sends all requests at once and gives the replies in order.
    pub async fn pipeline(&mut self, requests: &[Vec<Vec<u8>>]) -> Result<Vec<Reply>, ClientError> {
        let mut out = Vec::new();
        for request in requests {
            let arguments: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
            write_request(&mut out, &arguments);
        }
        self.send(&out).await?;
        let mut replies = Vec::with_capacity(requests.len());
        for _ in requests {
            replies.push(self.receive().await?);
        }
        Ok(replies)
    }

    /// Sends bytes that are whole requests.
    pub async fn send(&mut self, requests: &[u8]) -> Result<(), ClientError> {
        let sent = timeout(self.deadline, self.stream.write_all(requests)).await;
        sent.map_err(|_| self.timed_out())?
            .map_err(|source| self.io(source))
    }

    /// Receives the next reply.
    pub async fn receive(&mut self) -> Result<Reply, ClientError> {
        loop {
            let read = read_reply(&self.buffer);
            let read = read.map_err(|source| ClientError::Malformed {
                address: self.address.clone(),
                source,
            })?;
            if let Some((reply, length)) = read {
                self.buffer.advance(length);
                return Ok(reply);
            }
            let received = timeout(self.deadline, self.stream.read_buf(&mut self.buffer)).await;
            let count = received
                .map_err(|_| self.timed_out())?
                .map_err(|source| self.io(source))?;
            if count == 0 {
                return Err(ClientError::Closed {
                    address: self.address.clone(),
                });
            }
        }
    }

    /// Gives up the connection, with the bytes received and not yet read.
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.buffer)
    }

    fn timed_out(&self) -> ClientError {
        ClientError::Timeout {
            address: self.address.clone(),
            after: self.deadline,
        }
    }

    fn io(&self, source: io::Error) -> ClientError {
        ClientError::Io {
            address: self.address.clone(),
            source,
        }
    }
}

/// Connects, from `source` when the address is of its family.
async fn dial(source: Option<IpAddr>, address: &str) -> io::Result<TcpStream> {
    let Some(source) = source.filter(|source| !source.is_unspecified()) else {
        return TcpStream::connect(address).await;
    };
    let mut addresses = lookup_host(address).await?;
    let Some(target) = addresses.find(|target| target.is_ipv4() == source.is_ipv4()) else {
        return TcpStream::connect(address).await;
    };
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(target).await
}
