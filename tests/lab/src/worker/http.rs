//! As much of HTTP/1.1 as `curl`, a browser and our own client need to ask one pod for its name.

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A request head longer than this is refused.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What of a request decides the answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    is_head_method: bool,
    closes: bool,
    body_bytes: usize,
}

/// Answers requests on one connection with `body` until the client is done.
pub(super) async fn serve_connection(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    body: &str,
) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        let Some(head_bytes) = read_head(stream, &mut buffer).await? else { return Ok(()) };
        let head = parse_head(&buffer[..head_bytes])?;
        // The request's body says nothing to us, but the next request begins behind it.
        while buffer.len() < head_bytes + head.body_bytes {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..head_bytes + head.body_bytes);
        let connection = if head.closes { "close" } else { "keep-alive" };
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            body.len()
        );
        if !head.is_head_method {
            answer.push_str(body);
        }
        stream.write_all(answer.as_bytes()).await?;
        if head.closes {
            stream.shutdown().await?;
            return Ok(());
        }
    }
}

/// Body of a whole answer, read up to the end of the connection.
pub(super) fn body_of(answer: &[u8]) -> Result<&str> {
    let answer = std::str::from_utf8(answer)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("an answer without a body") };
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("answered {status}");
    }
    Ok(body)
}

/// Reads until `buffer` holds a whole head; returns its length, or nothing at the end of the connection.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<Option<usize>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(Some(end + 4));
        }
        if buffer.len() > MAX_HEAD_BYTES {
            bail!("a request head of more than {MAX_HEAD_BYTES} bytes");
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Head> {
    let text = std::str::from_utf8(bytes)?;
    let mut lines = text.split("\r\n");
    let request_line = lines.next().unwrap_or_default();
    let mut words = request_line.split(' ');
    let (Some(method), Some(_target), Some(version)) = (words.next(), words.next(), words.next()) else {
        bail!("not an HTTP request: {request_line:?}");
    };
    let mut head = Head { is_head_method: method == "HEAD", closes: version == "HTTP/1.0", body_bytes: 0 };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("connection") {
            head.closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("content-length") {
            head.body_bytes = value.parse()?;
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends `request` and closes the sending side; returns all that came back.
    async fn answer_to(request: &str) -> String {
        let (mut client, mut server) = tokio::io::duplex(4096);
        let server = tokio::spawn(async move { serve_connection(&mut server, "pod-1\n").await });
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        server.await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn a_request_is_answered_with_the_name() {
        let answer = answer_to("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(answer.contains("Connection: close"), "{answer}");
        assert_eq!(body_of(answer.as_bytes()).unwrap(), "pod-1\n");
    }

    #[tokio::test]
    async fn a_connection_is_kept_for_the_next_request_and_a_body_is_skipped() {
        let posted = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let answer = answer_to(&format!("{posted}{posted}")).await;
        assert_eq!(answer.matches("200 OK").count(), 2, "{answer}");
        assert_eq!(answer.matches("pod-1\n").count(), 2, "{answer}");
    }

    #[tokio::test]
    async fn a_head_request_gets_no_body() {
        let answer = answer_to("HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn another_status_is_an_error() {
        assert!(body_of(b"HTTP/1.1 503 Unavailable\r\n\r\nno").unwrap_err().to_string().contains("503"));
    }
}
