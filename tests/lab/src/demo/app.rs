//! The application of the demo and what its controllers do: the Deployment `backend-api` and its Service.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::address::Dual;
use crate::lab::Lab;
use crate::manifests::{self, Condition, Endpoint, Manifests, ServicePort, ServiceSpec};
use crate::node::Node;
use crate::pod::{Pod, PodSpec};
use crate::wait;

const NAMESPACE: &str = "production";
const DEPLOYMENT: &str = "backend-api";
const SERVICE: &str = "backend-api-svc";
/// Addresses of the Service.
const CLUSTER_IP: Dual =
    Dual { v4: Ipv4Addr::new(10, 96, 44, 10), v6: Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0x2c0a) };
/// Port that the pods listen on.
const TARGET_PORT: u16 = 3000;
/// Port that clients dial.
const PORT: u16 = 80;
/// Port of the same on the nodes.
pub(super) const NODE_PORT: u16 = 30080;
/// Replicas in rest.
pub(super) const REPLICAS: usize = 3;

/// How long a pod serves after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// How long an ending pod stays in its slices.
const TERMINATING: Duration = Duration::from_millis(300);

/// Characters of the random part of a pod's name: no vowels, no digits that look like them.
const NAME_CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// What the demo runs on.
#[derive(Debug)]
pub(super) struct App {
    manifests: Manifests,
    nodes: Vec<Node>,
    service: ServiceSpec,
    /// In the order in which the pods were made.
    endpoints: Vec<Endpoint>,
    clients: Vec<Pod>,
    /// Hash of the pod template, a part of the pods' names: a new one is a new version.
    template: String,
    pods_made: u32,
}

impl App {
    /// Writes the application's manifests and makes a client pod on each node and the pods of the Deployment.
    pub(super) fn deploy(lab: &Lab) -> Result<Self> {
        let service = ServiceSpec {
            selector: labels(),
            ..ServiceSpec::cluster_ip(NAMESPACE, SERVICE, CLUSTER_IP)
                .port(ServicePort::tcp("http", PORT, TARGET_PORT).node_port(NODE_PORT))
                .port(ServicePort::udp("echo", PORT, TARGET_PORT).node_port(NODE_PORT))
        };
        let mut app = Self {
            manifests: lab.manifests().clone(),
            nodes: lab.nodes().to_vec(),
            service,
            endpoints: Vec::new(),
            clients: Vec::new(),
            template: "7d4b9c6f5".into(),
            pods_made: 0,
        };
        app.manifests.apply(&manifests::namespace(NAMESPACE))?;
        app.manifests.apply(&manifests::service(&app.service))?;
        for (number, node) in (1..).zip(&app.nodes) {
            let client = node.add_pod(PodSpec::idle(NAMESPACE, &format!("client-{number}")))?;
            app.manifests.apply(&manifests::pod(&client, Condition::Ready))?;
            app.clients.push(client);
        }
        for _ in 0..REPLICAS {
            app.add_pod()?;
        }
        app.publish()?;
        Ok(app)
    }

    /// One client pod on each node.
    pub(super) fn clients(&self) -> &[Pod] {
        &self.clients
    }

    pub(super) fn cluster_ip(&self) -> Dual {
        CLUSTER_IP
    }

    /// What clients dial: the Service in IPv4, in IPv6, and in IPv4 from an IPv6 socket.
    pub(super) fn dialled(&self) -> [SocketAddr; 3] {
        let Dual { v4, v6 } = self.cluster_ip();
        [IpAddr::from(v4), v6.into(), v4.to_ipv6_mapped().into()].map(|ip| (ip, PORT).into())
    }

    /// Names of the pods that are ready.
    pub(super) fn ready(&self) -> Vec<String> {
        let ready = self.endpoints.iter().filter(|endpoint| endpoint.condition == Condition::Ready);
        ready.map(|endpoint| endpoint.pod.name().to_owned()).collect()
    }

    /// All pods of the Deployment, the oldest first.
    pub(super) fn pods(&self) -> Vec<Pod> {
        self.endpoints.iter().map(|endpoint| endpoint.pod.clone()).collect()
    }

    /// Pods made from now on are of a new version.
    pub(super) fn change_template(&mut self) {
        self.template = "5c8f7d9b46".into();
    }

    /// Makes a pod, ready, on the node that has the fewest; what [`Self::publish`] writes then names it.
    pub(super) fn add_pod(&mut self) -> Result<Pod> {
        let name = format!("{DEPLOYMENT}-{}-{}", self.template, suffix(self.pods_made));
        self.pods_made += 1;
        let pods_of =
            |node: &&Node| self.endpoints.iter().filter(|e| e.pod.node().name() == node.name()).count();
        let node = self.nodes.iter().min_by_key(pods_of).context("a lab without nodes")?;
        let mut spec = PodSpec::server(NAMESPACE, &name, TARGET_PORT).grace(GRACE);
        spec.labels = labels();
        let pod = node.add_pod(spec)?;
        self.manifests.apply(&manifests::pod(&pod, Condition::Ready))?;
        self.endpoints.push(Endpoint::new(&pod, Condition::Ready));
        Ok(pod)
    }

    /// Changes the condition of pods and publishes it.
    pub(super) fn set_condition(&mut self, pods: &[Pod], condition: Condition) -> Result<()> {
        for endpoint in &mut self.endpoints {
            if pods.iter().any(|pod| pod.uid() == endpoint.pod.uid()) {
                endpoint.condition = condition;
                self.manifests.apply(&manifests::pod(&endpoint.pod, condition))?;
            }
        }
        self.publish()
    }

    /// Ends pods as Kubernetes does: they turn terminating and get SIGTERM, serve on, leave the slices, end, and their
    /// objects go.
    pub(super) fn remove_pods(&mut self, pods: &[Pod]) -> Result<()> {
        self.set_condition(pods, Condition::Terminating)?;
        pods.iter().try_for_each(Pod::terminate)?;
        wait::pass(TERMINATING);
        self.endpoints.retain(|endpoint| pods.iter().all(|pod| pod.uid() != endpoint.pod.uid()));
        self.publish()?;
        for pod in pods {
            pod.delete()?;
            self.manifests.delete(&manifests::pod(pod, Condition::Terminating))?;
        }
        Ok(())
    }

    /// Writes the slices and the Deployment as they are now.
    pub(super) fn publish(&self) -> Result<()> {
        for slice in manifests::endpoint_slices(&self.service, &self.endpoints) {
            self.manifests.apply(&slice)?;
        }
        let deployment = manifests::deployment(NAMESPACE, DEPLOYMENT, &labels(), self.endpoints.len());
        self.manifests.apply(&deployment)
    }
}

/// The random part of a pod's name, which tells it apart in a line.
pub(super) fn short(pod: &str) -> &str {
    pod.rsplit('-').next().unwrap_or(pod)
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), DEPLOYMENT.to_owned())])
}

/// Five characters that look random and are the same in every run.
fn suffix(number: u32) -> String {
    // A linear congruential generator (Numerical Recipes), started far from its neighbours.
    let mut state = number.wrapping_mul(0x9e37_79b9).wrapping_add(42);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let index = (state >> 16) as usize % NAME_CHARACTERS.len();
        char::from(NAME_CHARACTERS[index])
    };
    std::iter::repeat_with(&mut next).take(5).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_pods_differ() {
        let names: BTreeSet<_> = (0..200).map(suffix).collect();
        assert_eq!(names.len(), 200);
    }
}
