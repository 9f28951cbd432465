//! One question over the admin socket.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
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
pub(crate) fn report<T: DeserializeOwned>(state_dir: &Path, path: &str) -> Result<T, ClientError> {
    let socket = state_dir.join(SOCKET_NAME);
    let answer = get(&socket, path).map_err(|error| explain(socket, error))?;
    refused(answer.status, &answer.body)?;
    serde_json::from_str(&answer.body).map_err(ClientError::Garbled)
}

fn refused(status: u16, body: &str) -> Result<(), ClientError> {
    let text = || body.trim().to_owned();
    match status {
        200 => Ok(()),
        // The daemon understood, and the question is to be put otherwise.
        422 => Err(ClientError::Question(text())),
        status => Err(ClientError::Refused { status, text: text() }),
    }
}

/// A path with what is asked.
pub(super) fn path(path: &str, asked: &[(&str, Option<&str>)]) -> String {
    let given = asked.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded((*value)?))));
    let given: Vec<String> = given.collect();
    if given.is_empty() { path.to_owned() } else { format!("{path}?{}", given.join("&")) }
}

/// All but letters, digits and `-._~` by their numbers (RFC 3986, 2.1 and 2.3).
fn encoded(text: &str) -> String {
    let each = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    each.collect()
}

/// Reads an answer line by line as it comes, for as long as `each` wants more.
pub(crate) fn lines(
    state_dir: &Path,
    path: &str,
    mut each: impl FnMut(&str) -> Result<bool, ClientError>,
) -> Result<(), ClientError> {
    let socket = state_dir.join(SOCKET_NAME);
    let fail = |error| explain(socket.clone(), error);
    let mut reader = BufReader::new(ask(&socket, path).map_err(fail)?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).map_err(fail)? == 0 {
            return Err(fail(cut_off()));
        }
    }
    let status = status(&head).ok_or_else(|| fail(cut_off()))?;
    if status != 200 {
        let mut body = String::new();
        reader.read_to_string(&mut body).map_err(fail)?;
        return refused(status, &body);
    }
    // The next line may take days.
    reader.get_ref().set_read_timeout(None).map_err(fail)?;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).map_err(fail)? == 0 {
            return Err(fail(io::Error::new(ErrorKind::UnexpectedEof, "the daemon has ended")));
        }
        if !each(line.trim_end())? {
            return Ok(());
        }
    }
}

/// One HTTP/1.0 request, so that the answer comes in one piece and ends with the connection.
pub(crate) fn get(socket: &Path, path: &str) -> io::Result<Answer> {
    let mut text = String::new();
    ask(socket, path)?.read_to_string(&mut text)?;
    parse(&text).ok_or_else(cut_off)
}

fn ask(socket: &Path, path: &str) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: ferrule\r\n\r\n")?;
    Ok(stream)
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the answer is cut off")
}

fn status(head: &str) -> Option<u16> {
    head.lines().next()?.split(' ').nth(1)?.parse().ok()
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = status(head)?;
    let length = head.lines().find_map(|line| {
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
