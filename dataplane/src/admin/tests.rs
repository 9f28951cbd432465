use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;

use super::fake_loop::{FakeLoop, ends};
use super::*;
use crate::client::fetch;

/// A state directory that goes with the test.
pub(crate) struct StateDir(pub(crate) PathBuf);

impl StateDir {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ferrule-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join(SOCKET_NAME)
    }

    /// Asks over the socket; the status code and the body.
    async fn get(&self, path: &'static str) -> (u16, String) {
        let socket = self.socket();
        let answer = tokio::task::spawn_blocking(move || fetch::get(&socket, path)).await.unwrap().unwrap();
        (answer.status, answer.body)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn every_report_comes_over_the_socket_as_the_loop_gave_it() {
    let dir = StateDir::new("reports");
    let says = FakeLoop::new();
    tokio::spawn(serve(bind(&dir.0).unwrap(), says.clone().ends()));

    let (code, body) = dir.get("/status").await;
    assert_eq!((code, serde_json::from_str(&body).ok()), (200, Some(says.status)));
    let (code, body) = dir.get("/services").await;
    assert_eq!((code, serde_json::from_str(&body).ok()), (200, Some(says.services)));
    let (code, body) = dir.get("/endpoints").await;
    assert_eq!((code, serde_json::from_str(&body).ok()), (200, Some(says.endpoints)));
    let (code, body) = dir.get("/maps").await;
    assert_eq!((code, serde_json::from_str(&body).ok()), (200, Some(says.maps)));
    assert_eq!(dir.get("/dump").await, (200, says.dump));
    assert_eq!(dir.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn only_our_own_user_may_connect() {
    let dir = StateDir::new("mode");
    let _listener = bind(&dir.0).unwrap();
    let mode = fs::metadata(dir.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_socket_of_a_killed_daemon_is_replaced() {
    let dir = StateDir::new("stale");
    fs::create_dir_all(&dir.0).unwrap();
    drop(StdListener::bind(dir.socket()).unwrap());
    assert!(dir.socket().exists(), "a socket file outlives its socket");
    tokio::spawn(serve(bind(&dir.0).unwrap(), FakeLoop::new().ends()));
    assert_eq!(dir.get("/status").await.0, 200);
}

#[tokio::test]
async fn the_socket_of_a_daemon_that_lives_is_not_taken() {
    let dir = StateDir::new("alive");
    tokio::spawn(serve(bind(&dir.0).unwrap(), FakeLoop::new().ends()));
    let error = bind(&dir.0).unwrap_err();
    assert!(error.to_string().contains(SOCKET_NAME), "{error}");
    assert_eq!(dir.get("/status").await.0, 200);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone_and_named() {
    let dir = StateDir::new("file");
    fs::create_dir_all(&dir.0).unwrap();
    fs::write(dir.socket(), "precious").unwrap();
    let error = bind(&dir.0).unwrap_err();
    assert!(error.to_string().contains(SOCKET_NAME), "{error}");
    assert_eq!(fs::read_to_string(dir.socket()).unwrap(), "precious");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_is_said_to_after_five_seconds() {
    let (queries, receiver) = mpsc::channel(1);
    let asked = tokio::time::Instant::now();
    assert_eq!(ask(&queries, Query::Status, DEADLINE).await, Err(Unanswered::Late(DEADLINE)));
    assert_eq!(asked.elapsed(), Duration::from_secs(5));
    // The first query still fills the queue: to wait for a place counts too.
    assert_eq!(ask(&queries, Query::Status, DEADLINE).await, Err(Unanswered::Late(DEADLINE)));
    drop(receiver);
}

#[tokio::test]
async fn a_loop_that_is_gone_is_said_to_at_once() {
    let dir = StateDir::new("gone");
    let (queries, receiver) = mpsc::channel(1);
    drop(receiver);
    tokio::spawn(serve(bind(&dir.0).unwrap(), ends(queries)));
    let (code, text) = dir.get("/status").await;
    assert_eq!(code, 503);
    assert!(text.contains("the sync loop has ended"), "{text}");
    assert_eq!(dir.get("/dump").await.0, 503);
}

#[test]
fn a_report_of_another_version_is_understood() {
    let report: StatusReport = serde_json::from_str(r#"{"node": "n", "moon_phase": "full"}"#).unwrap();
    assert_eq!(report, StatusReport { node: "n".to_owned(), ..StatusReport::default() });
}
