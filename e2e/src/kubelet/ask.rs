//! Asks one probe question over the network or by running a command.

use super::probe::Question;
use super::process::{CommandLine, Starter};
use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The status line of an answer is within this many bytes.
const STATUS_LINE_MAX_BYTES: usize = 256;

/// What a probe asks of a container at `address`; none when it says nothing this kubelet knows.
pub fn question(probe: &Probe, container: &Container, address: &str) -> Option<Question> {
    if let Some(get) = &probe.http_get {
        let host = get.host.as_deref().unwrap_or(address);
        let headers = get.http_headers.iter().flatten();
        return Some(Question::Http {
            address: format!("{host}:{}", port(&get.port, container)?),
            path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
            headers: headers
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect(),
        });
    }
    if let Some(socket) = &probe.tcp_socket {
        let host = socket.host.as_deref().unwrap_or(address);
        let address = format!("{host}:{}", port(&socket.port, container)?);
        return Some(Question::Connect { address });
    }
    let command = probe.exec.as_ref()?.command.clone()?;
    Some(Question::Run { command })
}

fn port(port: &IntOrString, container: &Container) -> Option<i32> {
    match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_ref() == Some(name));
            named
                .map(|port| port.container_port)
                .or_else(|| name.parse().ok())
        }
    }
}

/// The answer within the time allowed; an error says why the probe failed.
pub async fn ask(
    question: &Question,
    allowed: Duration,
    starter: &Starter,
    line: &CommandLine,
) -> Result<(), String> {
    let asked = timeout(allowed, async {
        match question {
            Question::Http {
                address,
                path,
                headers,
            } => get(address, path, headers).await,
            Question::Connect { address } => {
                let connected = TcpStream::connect(address).await;
                connected
                    .map(drop)
                    .map_err(|error| format!("dial {address}: {error}"))
            }
            Question::Run { command } => run(command, starter, line).await,
        }
    });
    asked
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {allowed:?}")))
}

async fn get(address: &str, path: &str, headers: &[(String, String)]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("Get \"http://{address}{path}\": {error}");
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    let mut extra = String::new();
    for (name, value) in headers {
        extra.extend([name, ": ", value, "\r\n"]);
    }
    let host = if extra.to_ascii_lowercase().contains("host: ") {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\n{host}{extra}User-Agent: kube-probe/1.33\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::with_capacity(STATUS_LINE_MAX_BYTES);
    while !answer.contains(&b'\n') && answer.len() < STATUS_LINE_MAX_BYTES {
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
            break;
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let code: Option<u16> = line
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok());
    match code {
        Some(200..400) => Ok(()),
        Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
        None => Err(format!("Get \"http://{address}{path}\": no HTTP answer")),
    }
}

async fn run(command: &[String], starter: &Starter, line: &CommandLine) -> Result<(), String> {
    let line = CommandLine {
        words: command.to_vec(),
        ..line.clone()
    };
    match starter.succeeds(&line).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("command failed".to_owned()),
        Err(error) => Err(format!("running {command:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn answer_to(reply: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(reply.as_bytes()).await.unwrap();
        });
        let question = Question::Http {
            address,
            path: "/readyz".to_owned(),
            headers: Vec::new(),
        };
        let line = CommandLine {
            words: Vec::new(),
            environment: Vec::new(),
            directory: ".".into(),
        };
        ask(
            &question,
            Duration::from_secs(5),
            &Starter::new().unwrap(),
            &line,
        )
        .await
    }

    #[tokio::test]
    async fn codes_from_200_to_399_pass() {
        assert_eq!(answer_to("HTTP/1.1 200 OK\r\n\r\n").await, Ok(()));
        assert_eq!(answer_to("HTTP/1.1 302 Found\r\n\r\n").await, Ok(()));
        let failed = Err("HTTP probe failed with statuscode: 503".to_owned());
        assert_eq!(answer_to("HTTP/1.1 503 Busy\r\n\r\n").await, failed);
        assert!(answer_to("+PONG\r\n").await.is_err());
    }

    #[test]
    fn ports_may_be_named() {
        let container: Container = serde_json::from_value(serde_json::json!(
            {"name": "c", "ports": [{"name": "metrics", "containerPort": 9121}]}))
        .unwrap();
        let probe: Probe =
            serde_json::from_value(serde_json::json!({"tcpSocket": {"port": "metrics"}})).unwrap();
        let address = "127.0.0.1:9121".to_owned();
        let found = question(&probe, &container, "127.0.0.1");
        assert_eq!(found, Some(Question::Connect { address }));
    }
}
