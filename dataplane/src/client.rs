//! The commands that ask the daemon: fetch a report over the admin socket, show it as a table or as JSON.

mod dns;
pub(crate) mod fetch;
mod status;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::admin::reports::{DnsReport, EndpointReport, MapReport, ServiceReport, StatusReport};
use crate::args::{ClientArgs, FilterArgs, Output};

/// Why there is no answer; each is one line for a person, and exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon at {}: is ferrule running, with this --state-dir?", path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
    },
    /// The socket is another user's.
    #[error("{} is closed to this user: ask as the user that ferrule runs as, mostly root", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke or nothing came in time.
    #[error("no answer from the daemon at {}: {source}", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon said no.
    #[error("the daemon answers {status}: {text}")]
    Refused {
        /// HTTP status code.
        status: u16,
        /// What it says.
        text: String,
    },
    /// The answer is not what this version expects.
    #[error("the daemon's answer is not understood ({0}): are daemon and command of one version?")]
    Garbled(#[source] serde_json::Error),
    /// The report cannot be written as JSON.
    #[error("writing JSON: {0}")]
    Json(#[source] serde_json::Error),
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
    let report: StatusReport = fetch::report(&args.state_dir, "/status")?;
    print(&shown(args.output, &report, status::render)?);
    Ok(())
}

/// `ferrule dns status`.
///
/// # Errors
///
/// No daemon, or no answer.
pub fn dns(args: &ClientArgs) -> Result<(), ClientError> {
    let report: DnsReport = fetch::report(&args.state_dir, "/dns")?;
    print(&shown(args.output, &report, dns::render)?);
    Ok(())
}

/// `ferrule services`.
///
/// # Errors
///
/// No daemon, no answer, or no such Service.
pub fn services(args: &FilterArgs) -> Result<(), ClientError> {
    print(&shown(args.client.output, &wanted_services(args)?, |r| tables::services(r))?);
    Ok(())
}

/// `ferrule endpoints`.
///
/// # Errors
///
/// No daemon, no answer, or no such Service.
pub fn endpoints(args: &FilterArgs) -> Result<(), ClientError> {
    print(&shown(args.client.output, &wanted_endpoints(args)?, |r| tables::endpoints(r))?);
    Ok(())
}

/// `ferrule maps`.
///
/// # Errors
///
/// No daemon, or no answer.
pub fn maps(args: &ClientArgs) -> Result<(), ClientError> {
    let reports: Vec<MapReport> = fetch::report(&args.state_dir, "/maps")?;
    print(&shown(args.output, &reports, |r| tables::maps(r))?);
    Ok(())
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

fn wanted_services(args: &FilterArgs) -> Result<Vec<ServiceReport>, ClientError> {
    let mut reports: Vec<ServiceReport> = fetch::report(&args.client.state_dir, "/services")?;
    reports.retain(|r| is_wanted(args, &r.namespace, &r.name));
    match &args.service {
        Some(service) if reports.is_empty() => Err(ClientError::NoService(service.clone())),
        Some(_) | None => Ok(reports),
    }
}

fn wanted_endpoints(args: &FilterArgs) -> Result<Vec<EndpointReport>, ClientError> {
    let mut reports: Vec<EndpointReport> = fetch::report(&args.client.state_dir, "/endpoints")?;
    reports.retain(|r| is_wanted(args, &r.namespace, &r.service));
    if reports.is_empty() {
        // A Service without endpoints is no mistake: only an unknown one is.
        wanted_services(args)?;
    }
    Ok(reports)
}

fn is_wanted(args: &FilterArgs, namespace: &str, name: &str) -> bool {
    let in_namespace = args.namespace.as_deref().is_none_or(|wanted| wanted == namespace);
    let is_named = args.service.as_deref().is_none_or(|wanted| match wanted.split_once('/') {
        Some((ns, n)) => ns == namespace && n == name,
        None => wanted == name,
    });
    in_namespace && is_named
}

fn shown<T: Serialize>(
    output: Output,
    report: &T,
    render: impl Fn(&T) -> String,
) -> Result<String, ClientError> {
    Ok(match output {
        Output::Table => render(report),
        Output::Json => serde_json::to_string_pretty(report).map_err(ClientError::Json)? + "\n",
    })
}
