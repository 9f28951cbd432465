use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;

fn router() -> Router {
    Router::new().route("/", get(async || "here"))
}

/// Reads until the other side closes; how long that took.
async fn closed_after(mut stream: TcpStream, began: Instant) -> Duration {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn half_a_request_is_waited_for_five_seconds_and_no_longer() {
    let addr = testing::start(router()).await;
    let began = Instant::now();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: te").await.unwrap();
    let took = closed_after(stream, began).await;
    assert!(took >= HEADERS && took < HEADERS * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_closed_too() {
    let addr = testing::start(router()).await;
    let began = Instant::now();
    let took = closed_after(TcpStream::connect(addr).await.unwrap(), began).await;
    assert!(took >= HEADERS && took < HEADERS * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_after_ten_seconds_whatever_it_does() {
    let endless = Router::new().route("/", get(async || std::future::pending::<()>().await));
    let addr = testing::start(endless).await;
    let began = Instant::now();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let took = closed_after(stream, began).await;
    assert!(took >= CONNECTION && took < CONNECTION * 2, "{took:?}");
}

#[tokio::test]
async fn who_holds_every_connection_keeps_nobody_out() {
    let addr = testing::start(router()).await;
    let began = Instant::now();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(TcpStream::connect(addr).await.unwrap());
    }
    assert_eq!(testing::get(addr, "/", "").await.body, "here");
    let oldest = closed_after(held.remove(0), began).await;
    assert!(oldest < HEADERS, "the oldest made room, and did not time out: {oldest:?}");
    // The next one was not touched: it is still served.
    let mut second = held.remove(0);
    second.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    second.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("here"), "{text}");
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let addr = testing::start(router()).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let endless = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(4 * BUFFER));
    // The server may close before it has taken all.
    let _ = stream.write_all(endless.as_bytes()).await;
    let began = Instant::now();
    assert!(closed_after(stream, began).await < HEADERS);
}

#[tokio::test]
async fn an_answer_larger_than_the_buffer_comes_whole() {
    let body = "z".repeat(64 * BUFFER);
    let answer = body.clone();
    let addr = testing::start(Router::new().route("/", get(async move || answer))).await;
    assert_eq!(testing::get(addr, "/", "").await.body, body);
}

#[tokio::test]
async fn a_taken_address_is_named_in_one_line() {
    let taken = bind("health", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let addr = taken.local_addr().unwrap();
    let error = start("health", addr, true, router()).await.unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }), "{error}");
    let line = error.to_string();
    assert!(line.contains("health") && line.contains(&addr.to_string()), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_taken_address_is_served_once_it_comes_free_if_so_told() {
    let taken = bind("health", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let addr = taken.local_addr().unwrap();
    start("health", addr, false, router()).await.unwrap();
    drop(taken);
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens before the next try");
    let began = Instant::now();
    while TcpStream::connect(addr).await.is_err() {
        assert!(began.elapsed() < RETRY * 3, "not taken");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(testing::get(addr, "/", "").await.body, "here");
}
