use std::os::unix::net::UnixListener;
use std::path::Path;

use super::*;
use crate::admin::fake_loop::FakeLoop;
use crate::admin::tests::StateDir;
use crate::admin::{bind, serve};

fn filter(state_dir: &Path, service: Option<&str>, namespace: Option<&str>) -> FilterArgs {
    FilterArgs {
        service: service.map(str::to_owned),
        namespace: namespace.map(str::to_owned),
        client: ClientArgs { state_dir: state_dir.to_owned(), output: Output::Table },
    }
}

/// Runs what blocks beside a served admin socket.
async fn ask<T: Send + 'static>(dir: &StateDir, question: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    tokio::spawn(serve(bind(&dir.0).unwrap(), FakeLoop::new().ends()));
    let path = dir.0.clone();
    tokio::task::spawn_blocking(move || question(&path)).await.unwrap()
}

#[tokio::test]
async fn services_are_found_by_name_by_namespace_and_by_both() {
    let dir = StateDir::new("filter");
    ask(&dir, |path| {
        let found = |service, namespace| -> Vec<String> {
            let reports = wanted_services(&filter(path, service, namespace)).unwrap();
            reports.into_iter().map(|r| r.namespace).collect()
        };
        assert_eq!(found(None, None), ["production", "staging"]);
        assert_eq!(found(Some("web"), None), ["production", "staging"]);
        assert_eq!(found(Some("staging/web"), None), ["staging"]);
        assert_eq!(found(Some("web"), Some("production")), ["production"]);
        assert_eq!(found(None, Some("nowhere")), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_service_without_endpoints_is_no_mistake_and_an_unknown_one_is() {
    let dir = StateDir::new("unknown");
    ask(&dir, |path| {
        assert_eq!(wanted_endpoints(&filter(path, Some("production/web"), None)).unwrap().len(), 2);
        assert_eq!(wanted_endpoints(&filter(path, Some("staging/web"), None)).unwrap().len(), 0);
        let error = wanted_endpoints(&filter(path, Some("staging/api"), None)).unwrap_err();
        assert_eq!(error.to_string(), "no Service staging/api");
    })
    .await;
}

#[tokio::test]
async fn json_is_the_daemons_report() {
    let dir = StateDir::new("json");
    ask(&dir, |path| {
        let reports = wanted_services(&filter(path, None, None)).unwrap();
        let text = shown(Output::Json, &reports, |_| String::new()).unwrap();
        let read: Vec<ServiceReport> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, FakeLoop::new().services);
        assert!(text.ends_with("]\n"), "{text}");
    })
    .await;
}

#[test]
fn without_a_daemon_the_socket_is_named_in_one_line() {
    let dir = StateDir::new("absent");
    let asked = || wanted_services(&filter(&dir.0, None, None)).unwrap_err();
    let error = asked();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error}");
    let line = error.to_string();
    assert!(line.contains(&dir.socket().display().to_string()) && line.lines().count() == 1, "{line}");
    // The same if the file is there and nobody behind it.
    std::fs::create_dir_all(&dir.0).unwrap();
    drop(UnixListener::bind(dir.socket()).unwrap());
    let error = asked();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error}");
}

#[test]
fn a_daemon_that_goes_away_while_asked_is_no_answer() {
    let dir = StateDir::new("dying");
    std::fs::create_dir_all(&dir.0).unwrap();
    let listener = UnixListener::bind(dir.socket()).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\ncontent-length: 9\r\n\r\n[{").unwrap();
    });
    let error = wanted_services(&filter(&dir.0, None, None)).unwrap_err();
    assert!(matches!(error, ClientError::NoAnswer { .. }), "{error}");
    daemon.join().unwrap();
}

#[test]
fn what_the_daemon_says_no_to_is_shown() {
    let dir = StateDir::new("refusing");
    std::fs::create_dir_all(&dir.0).unwrap();
    let listener = UnixListener::bind(dir.socket()).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 256];
        let _ = std::io::Read::read(&mut stream, &mut request).unwrap();
        stream.write_all(b"HTTP/1.0 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nbusy\n").unwrap();
    });
    let error = wanted_services(&filter(&dir.0, None, None)).unwrap_err();
    assert_eq!(error.to_string(), "the daemon answers 503: busy");
    daemon.join().unwrap();
}
