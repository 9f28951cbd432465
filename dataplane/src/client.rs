//! The commands that ask the daemon: fetch a report over the admin socket, show it as a table or as JSON.

mod table;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::table::Table;
use crate::admin::SOCKET_NAME;
use crate::admin::reports::{EndpointReport, MapReport, ServiceReport, StatusReport};
use crate::args::{ClientArgs, FilterArgs, Output};

/// Longer than the daemon takes to say that its loop does not answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon at {} ({source}): is ferrule running, with this --state-dir?", path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon said no.
    #[error("the daemon answers {status}: {text}")]
    Refused {
        /// HTTP status line.
        status: String,
        /// What it says.
        text: String,
    },
    /// The answer is not what this version expects.
    #[error("the daemon's answer is not understood ({0}): are daemon and command of one version?")]
    Garbled(#[source] serde_json::Error),
    /// The Service asked for is not there.
    #[error("no Service {0}")]
    NoService(String),
}

/// `ferrule status`.
///
/// # Errors
///
/// No daemon, or no answer.
pub fn status(args: &ClientArgs) -> Result<(), ClientError> {
    show(args.output, fetch(args, "/status")?, render_status)
}

/// `ferrule services`.
///
/// # Errors
///
/// No daemon, no answer, or no such Service.
pub fn services(args: &FilterArgs) -> Result<(), ClientError> {
    let mut reports: Vec<ServiceReport> = fetch(&args.client, "/services")?;
    reports.retain(|r| is_wanted(args, &r.namespace, &r.name));
    demand(args, !reports.is_empty())?;
    show(args.client.output, reports, |reports| {
        let mut table = Table::new(&[
            "NAMESPACE",
            "NAME",
            "PORT",
            "KIND",
            "FRONTEND",
            "BACKENDS",
            "LOCAL",
            "CONNECTIONS",
            "REFUSED",
            "DROPPED",
            "NOTE",
        ]);
        for r in reports {
            for (i, f) in r.frontends.iter().enumerate() {
                let first = |text: String| if i == 0 { text } else { String::new() };
                let note = if f.held { r.flags.join(" ") } else { "held by an older Service".to_owned() };
                table.row([
                    r.namespace.clone(),
                    r.name.clone(),
                    format!("{}/{}", if r.port.is_empty() { "-" } else { &r.port }, r.protocol),
                    f.kind.clone(),
                    f.address.clone(),
                    first(r.cluster_backends.to_string()),
                    first(if r.flags.is_empty() { "-".to_owned() } else { r.local_backends.to_string() }),
                    first(r.connections.to_string()),
                    first(r.refused.to_string()),
                    first(r.dropped.to_string()),
                    note,
                ]);
            }
        }
        table.render()
    })
}

/// `ferrule endpoints`.
///
/// # Errors
///
/// No daemon, no answer, or no such Service.
pub fn endpoints(args: &FilterArgs) -> Result<(), ClientError> {
    let mut reports: Vec<EndpointReport> = fetch(&args.client, "/endpoints")?;
    reports.retain(|r| is_wanted(args, &r.namespace, &r.service));
    if reports.is_empty() && args.service.is_some() {
        // A Service without endpoints is no mistake: only an unknown one is.
        let known: Vec<ServiceReport> = fetch(&args.client, "/services")?;
        demand(args, known.iter().any(|r| is_wanted(args, &r.namespace, &r.name)))?;
    }
    show(args.client.output, reports, |reports| {
        let mut table = Table::new(&[
            "NAMESPACE",
            "SERVICE",
            "PORT",
            "BACKEND",
            "STATE",
            "CHOSEN",
            "NODE",
            "ZONE",
            "CONNECTIONS",
        ]);
        for r in reports {
            let chosen = match (r.in_cluster_set, r.in_local_set) {
                (true, true) => "cluster,local",
                (true, false) => "cluster",
                (false, true) => "local",
                (false, false) => "-",
            };
            let node = r.node.as_deref().unwrap_or("-");
            table.row([
                r.namespace.clone(),
                r.service.clone(),
                format!("{}/{}", if r.port.is_empty() { "-" } else { &r.port }, r.protocol),
                r.address.clone(),
                r.state.clone(),
                chosen.to_owned(),
                if r.local { format!("{node} (here)") } else { node.to_owned() },
                r.zone.clone().unwrap_or_else(|| "-".to_owned()),
                r.connections.to_string(),
            ]);
        }
        table.render()
    })
}

/// `ferrule maps`.
///
/// # Errors
///
/// No daemon, or no answer.
pub fn maps(args: &ClientArgs) -> Result<(), ClientError> {
    show(args.output, fetch::<Vec<MapReport>>(args, "/maps")?, |reports| {
        let mut table = Table::new(&["NAME", "TYPE", "KEY", "VALUE", "USED", "MAX", "FILL", "PIN"]);
        let or_dash = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        for r in reports {
            let fill = match (r.used, r.max) {
                (Some(used), Some(max)) if max > 0 => format!("{:.1}%", used as f64 * 100.0 / max as f64),
                _ => "-".to_owned(),
            };
            table.row([
                r.name.clone(),
                r.r#type.clone(),
                r.key_bytes.to_string(),
                r.value_bytes.to_string(),
                or_dash(r.used),
                or_dash(r.max),
                fill,
                r.pin.clone(),
            ]);
        }
        table.render()
    })
}

/// Writes to standard output. A reader that went away (`| head`) is no error.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
pub fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn is_wanted(args: &FilterArgs, namespace: &str, name: &str) -> bool {
    let in_namespace = args.namespace.as_deref().is_none_or(|wanted| wanted == namespace);
    let is_named = args.service.as_deref().is_none_or(|wanted| match wanted.split_once('/') {
        Some((ns, n)) => ns == namespace && n == name,
        None => wanted == name,
    });
    in_namespace && is_named
}

fn demand(args: &FilterArgs, is_there: bool) -> Result<(), ClientError> {
    match &args.service {
        Some(service) if !is_there => Err(ClientError::NoService(service.clone())),
        Some(_) | None => Ok(()),
    }
}

fn show<T: Serialize>(output: Output, report: T, render: impl Fn(&T) -> String) -> Result<(), ClientError> {
    let text = match output {
        Output::Table => render(&report),
        Output::Json => serde_json::to_string_pretty(&report).map_err(ClientError::Garbled)? + "\n",
    };
    print(&text);
    Ok(())
}

fn fetch<T: DeserializeOwned>(args: &ClientArgs, path: &str) -> Result<T, ClientError> {
    let socket = args.state_dir.join(SOCKET_NAME);
    let body = get(&socket, path).map_err(|source| ClientError::NoDaemon { path: socket, source })??;
    serde_json::from_str(&body).map_err(ClientError::Garbled)
}

/// One HTTP/1.0 request: the answer ends with the connection.
fn get(socket: &std::path::Path, path: &str) -> io::Result<Result<String, ClientError>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: ferrule\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(Ok(body.to_owned()));
    }
    Ok(Err(ClientError::Refused { status: status.to_owned(), text: body.trim().to_owned() }))
}

fn render_status(r: &StatusReport) -> String {
    let mut rows: Vec<(String, String)> = vec![
        ("Node".into(), r.node.clone()),
        ("Version".into(), r.version.clone()),
        ("Ready".into(), if r.ready { "yes".into() } else { format!("no: {}", r.not_ready.join("; ")) }),
        ("Synced".into(), format!("{} (revision {})", if r.synced { "yes" } else { "no" }, r.revision)),
        ("Uptime".into(), format!("{} s, maps {}", r.uptime_secs, r.maps_at_start)),
    ];
    if let Some(s) = &r.last_sync {
        rows.push((
            "Last sync".into(),
            format!(
                "{:.1} s ago: {} written, {} failed, compiled in {:.1} ms, applied in {:.1} ms",
                s.age_secs, s.applied, s.failed, s.compile_ms, s.apply_ms
            ),
        ));
    }
    let pairs = |m: &std::collections::BTreeMap<String, u64>| {
        m.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join(", ")
    };
    let counts = |m: &std::collections::BTreeMap<String, usize>| {
        m.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join(", ")
    };
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    rows.push(("Pending".into(), or_none(counts(&r.pending))));
    rows.push(("Programs".into(), or_none(r.programs.join(" "))));
    rows.push(("Manifests".into(), r.source.manifests.clone()));
    rows.push(("Objects".into(), or_none(counts(&r.source.objects))));
    rows.push(("Passed over".into(), or_none(pairs(&r.source.passed_over))));
    rows.push(("Drops".into(), or_none(pairs(&r.drops))));
    rows.push(("Drift repaired".into(), r.drift_repairs.to_string()));
    for (file, problem) in &r.source.problems {
        rows.push(("Problem".into(), format!("{file}: {problem}")));
    }
    for w in &r.warnings {
        rows.push(("Warning".into(), format!("{}: {}", w.object, w.detail)));
    }
    let width = rows.iter().map(|(k, _)| k.len()).max().unwrap_or(0) + 1;
    rows.iter().map(|(k, v)| format!("{:<width$} {v}\n", format!("{k}:"))).collect()
}
