//! One question over the admin socket.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::ClientError;
use crate::admin::SOCKET_NAME;

/// Longer than the daemon takes to say that its loop does not answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status code.
    pub(crate) status: u16,
    /// The body as text.
    pub(crate) body: String,
}

/// Fetches a report.
pub(super) fn report<T: DeserializeOwned>(state_dir: &Path, path: &str) -> Result<T, ClientError> {
    let socket = state_dir.join(SOCKET_NAME);
    let answer = get(&socket, path).map_err(|error| explain(socket, error))?;
    if answer.status != 200 {
        return Err(ClientError::Refused { status: answer.status, text: answer.body.trim().to_owned() });
    }
    serde_json::from_str(&answer.body).map_err(ClientError::Garbled)
}

/// One HTTP/1.0 request, so that the answer comes in one piece and ends with the connection.
pub(crate) fn get(socket: &Path, path: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: ferrule\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, "the answer is cut off"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<usize>().ok() } else { None }
    });
    (length? == body.len()).then(|| Answer { status, body: body.to_owned() })
}

fn explain(path: PathBuf, source: io::Error) -> ClientError {
    let kind = source.kind();
    if matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
        ClientError::NoDaemon { path }
    } else if kind == ErrorKind::PermissionDenied {
        ClientError::Denied { path }
    } else if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        // Linux gives EAGAIN for a read that ran into its timeout: its text would speak of resources.
        let text = format!("nothing came for {} s", DEADLINE.as_secs());
        ClientError::NoAnswer { path, source: io::Error::new(ErrorKind::TimedOut, text) }
    } else {
        ClientError::NoAnswer { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_cut_off_is_no_answer() {
        let whole = "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(parse(whole), Some(Answer { status: 200, body: "body".to_owned() }));
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), None, "{:?}", &whole[..end]);
        }
    }

    #[test]
    fn who_may_not_ask_is_told_so_and_not_that_nobody_is_there() {
        let explained = |kind: ErrorKind| explain("/run/x.sock".into(), kind.into()).to_string();
        assert!(explained(ErrorKind::NotFound).starts_with("no daemon at /run/x.sock"));
        assert!(explained(ErrorKind::PermissionDenied).contains("closed to this user"));
        assert!(explained(ErrorKind::WouldBlock).contains("nothing came for 10 s"));
        assert!(explained(ErrorKind::ConnectionReset).starts_with("no answer"));
    }
}
