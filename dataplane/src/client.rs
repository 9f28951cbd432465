//! The commands that ask the daemon: fetch a report over the admin socket, show it as a table or as JSON.

mod dns;
mod explain;
pub(crate) mod fetch;
mod flows;
mod policies;
mod status;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::admin::reports::{
    DnsReport, DropReport, EndpointReport, ExplainReport, FlowsReport, MapReport, PodReport, PolicyReport,
    ServiceReport, StatusReport,
};
use crate::args::{ClientArgs, ExplainArgs, FilterArgs, FlowsArgs, Output};

/// Exit code of `ferrule explain` when what is compiled and what the kernel holds differ.
pub const DISAGREE: u8 = 14;

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
    /// What was asked for is not there, or is not clear.
    #[error("{0}")]
    Question(String),
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

/// `ferrule policies`.
///
/// # Errors
///
/// No daemon, or no answer.
pub fn policies(args: &ClientArgs) -> Result<(), ClientError> {
    let reports: Vec<PolicyReport> = fetch::report(&args.state_dir, "/policies")?;
    print(&shown(args.output, &reports, |r| policies::policies(r))?);
    Ok(())
}

/// `ferrule pods`.
///
/// # Errors
///
/// No daemon, or no answer.
pub fn pods(args: &ClientArgs) -> Result<(), ClientError> {
    let reports: Vec<PodReport> = fetch::report(&args.state_dir, "/pods")?;
    print(&shown(args.output, &reports, |r| policies::pods(r))?);
    Ok(())
}

/// `ferrule flows`. With `--follow` it ends when the daemon does, or when nobody reads what it prints.
///
/// # Errors
///
/// No daemon, no answer, or no such pod.
pub fn flows(args: &FlowsArgs) -> Result<(), ClientError> {
    let pod = [("pod", args.pod.as_deref())];
    if !args.follow {
        let report: FlowsReport = fetch::report(&args.client.state_dir, &fetch::path("/flows", &pod))?;
        print(&shown(args.client.output, &report, flows::table)?);
        return Ok(());
    }
    fetch::lines(&args.client.state_dir, &fetch::path("/drops", &pod), |line| {
        let text = match args.client.output {
            // The daemon's line is JSON already.
            Output::Json => line.to_owned(),
            Output::Table => {
                let report: DropReport = serde_json::from_str(line).map_err(ClientError::Garbled)?;
                flows::line(&report)
            }
        };
        Ok(try_print(&(text + "\n")))
    })
}

/// `ferrule explain`; whether what is compiled and what the kernel holds agree.
///
/// # Errors
///
/// No daemon, no answer, or a question that means nothing or several things.
pub fn explain(args: &ExplainArgs) -> Result<bool, ClientError> {
    let port = args.port.map(|port| port.to_string());
    let asked = [
        ("from", Some(args.from.as_str())),
        ("to", Some(args.to.as_str())),
        ("port", port.as_deref()),
        ("protocol", args.protocol.map(|protocol| protocol.as_str())),
    ];
    let report: ExplainReport = fetch::report(&args.client.state_dir, &fetch::path("/explain", &asked))?;
    print(&shown(args.client.output, &report, explain::render)?);
    if !report.agree {
        complain(&explain::difference(&report));
    }
    Ok(report.agree)
}

/// Writes to standard output. A reader that went away (`| head`) is no error.
pub fn print(text: &str) {
    let _ = try_print(text);
}

/// The same; whether somebody still reads.
fn try_print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
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
