//! One HTTP request over a connection of its own.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http;
use super::recorder::Answer;

pub(super) async fn request(to: SocketAddr) -> Result<Answer> {
    let mut stream = TcpStream::connect(to).await?;
    let peer = stream.peer_addr()?;
    let request = format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(256);
    stream.read_to_end(&mut answer).await?;
    let body = http::body_of(&answer)?;
    Ok(Answer { pod: body.trim_end().to_owned(), peer })
}
