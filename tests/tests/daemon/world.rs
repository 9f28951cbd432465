//! A lab with one Service to look at, and ways of looking.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Dial, HEALTH_PORT, Lab, LabSpec, METRICS_PORT, Node, Pod, PodSpec, Workload};
use serde_json::Value;

/// For anything that takes milliseconds when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// Port of the servers.
const PORT: u16 = 3000;

/// A lab, a server pod and a client pod on its first node.
pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) server: Pod,
    client: Pod,
}

impl World {
    pub(crate) fn new() -> Result<Self> {
        let lab = Lab::new(LabSpec::default())?;
        let node = lab.node("node-1")?;
        let server = node.add_pod(PodSpec::server("production", "api-1", PORT))?;
        let client = node.add_pod(PodSpec::idle("production", "client"))?;
        Ok(Self { lab, server, client })
    }

    pub(crate) fn node(&self) -> Result<&Node> {
        self.lab.node("node-1")
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        self.lab.manifests().write(file, text)
    }

    pub(crate) fn start(&self, more: &[&str]) -> Result<()> {
        self.node()?.start_ferrule(self.lab.manifests().dir(), more)
    }

    pub(crate) fn start_and_wait(&self, more: &[&str]) -> Result<()> {
        self.start(more)?;
        self.node()?.wait_ready(LIMIT).map(drop)
    }

    /// A Service `name` at `ip:80` whose only endpoint is the server.
    pub(crate) fn service_yaml(&self, name: &str, ip: &str) -> String {
        format!("{}---\n{}", service(name, ip), slice(name, &self.server.address().v4.to_string()))
    }

    /// How often of five a new TCP connection to `ip:80` is answered by the server.
    pub(crate) fn answers(&self, ip: &str) -> Result<u64> {
        let to = SocketAddr::new(ip.parse()?, 80);
        let workload = Workload { timeout: Duration::from_millis(500), ..Workload::new(Dial::Tcp, to) };
        let tally = self.client.client().run(workload, 5)?;
        Ok(tally.answered.get(self.server.name()).copied().unwrap_or_default())
    }

    /// New TCP connections to `ip:80`, one after the other, until stopped.
    pub(crate) fn load(&self, ip: &str) -> Result<lab::Load> {
        self.client.client().start_load(Workload::new(Dial::Tcp, SocketAddr::new(ip.parse()?, 80)))
    }

    /// The errno of one new TCP connection to `ip:port`.
    pub(crate) fn errno(&self, ip: &str, port: u16) -> Result<String> {
        let to = SocketAddr::new(ip.parse()?, port);
        let workload = Workload { timeout: Duration::from_millis(500), ..Workload::new(Dial::Tcp, to) };
        let tally = self.client.client().run(workload, 1)?;
        tally.failed.keys().next().cloned().with_context(|| format!("answered: {tally:?}"))
    }

    pub(crate) fn wait_for_answers(&self, ip: &str) -> Result<()> {
        lab::until(&format!("{ip} to answer"), LIMIT, || Ok(self.answers(ip)? == 5)).map(drop)
    }

    /// A report of the daemon as JSON.
    pub(crate) fn report(&self, command: &str) -> Result<Value> {
        let out = self.node()?.ferrule(&[command, "-o", "json"])?;
        serde_json::from_str(&out.stdout).with_context(|| format!("{command}: {out:?}"))
    }

    /// Waits until the status is as wanted, and returns it.
    pub(crate) fn wait_for_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        lab::until(what, LIMIT, || {
            // A daemon that has just been started does not answer yet.
            last = self.report("status").unwrap_or_default();
            Ok(wanted(&last))
        })
        .with_context(|| format!("the last status: {last:#}"))?;
        Ok(last)
    }

    pub(crate) fn health(&self, path: &str) -> Result<(u16, String)> {
        self.node()?.http_get(HEALTH_PORT, path)
    }

    pub(crate) fn metrics(&self) -> Result<String> {
        let (status, body) = self.node()?.http_get(METRICS_PORT, "/metrics")?;
        anyhow::ensure!(status == 200, "{status}: {body}");
        Ok(body)
    }
}

/// Texts of the status's warnings about an object.
pub(crate) fn warnings_of(status: &Value, object: &str) -> Vec<String> {
    let all = status["warnings"].as_array().cloned().unwrap_or_default();
    all.iter()
        .filter(|w| w["object"] == object)
        .map(|w| w["detail"].as_str().unwrap_or_default().to_owned())
        .collect()
}

pub(crate) fn service(name: &str, ip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: production}}\n\
         spec:\n  clusterIP: {ip}\n  ports:\n    - {{name: http, port: 80}}\n"
    )
}

pub(crate) fn slice(service: &str, endpoint: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata:\n  name: {service}-1\n  namespace: production\n  labels: {{kubernetes.io/service-name: {service}}}\n\
         addressType: IPv4\nendpoints:\n  - {{addresses: [{endpoint}], nodeName: node-1}}\n\
         ports:\n  - {{name: http, port: {PORT}}}\n"
    )
}
