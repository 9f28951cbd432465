//! A stand-in for the sync loop: it answers queries with fixed reports.

use std::collections::BTreeMap;

use std::sync::Arc;

use abi::{FlowKey, FlowValue};
use tokio::sync::mpsc;

use super::reports::{
    EndpointReport, FrontendReport, MapReport, ServiceReport, SourceReport, StatusReport, SyncReport,
    WarningReport,
};
use super::{Ends, Query};
use crate::directory::Directory;
use crate::events;
use crate::events::testing::MemoryRing;
use crate::explain;
use crate::explain::testing::cluster;
use crate::flows::FlowSource;
use crate::kernel::KernelError;
use crate::kernel::fake::Fake;
use crate::sync::core::Core;

/// What a [`FakeLoop`] says.
#[derive(Clone, Debug)]
pub(crate) struct FakeLoop {
    pub(crate) status: StatusReport,
    pub(crate) services: Vec<ServiceReport>,
    pub(crate) endpoints: Vec<EndpointReport>,
    pub(crate) maps: Vec<MapReport>,
    pub(crate) dump: String,
}

impl FakeLoop {
    /// A node with two Services: `production/web`, balanced, and `staging/web`, without endpoints.
    pub(crate) fn new() -> Self {
        Self {
            status: status(),
            services: vec![service("production", "10.96.0.1", 2), service("staging", "10.96.0.2", 0)],
            endpoints: vec![endpoint("10.244.1.5:8080", "node-1"), endpoint("10.244.2.7:8080", "node-2")],
            maps: vec![MapReport {
                name: "FRONTENDS".to_owned(),
                r#type: "hash".to_owned(),
                key_bytes: 20,
                value_bytes: 8,
                used: Some(2),
                max: Some(400),
                pin: "/sys/fs/bpf/ferrule/1/FRONTENDS".to_owned(),
            }],
            dump: "frontend 10.96.0.1:80/TCP\n".to_owned(),
        }
    }

    /// Answers until nobody can ask any more. Of policies and pods it has those of a small cluster.
    pub(crate) fn start(self) -> mpsc::Sender<Query> {
        let (sender, mut queries) = mpsc::channel(16);
        tokio::spawn(async move {
            let core = cluster();
            while let Some(query) = queries.recv().await {
                self.answer(&core, query);
            }
        });
        sender
    }

    /// The ends of an admin socket that asks it. No packet is ever dropped and nothing flows.
    pub(crate) fn ends(self) -> Ends {
        ends(self.start())
    }

    fn answer(&self, core: &Core<Fake>, query: Query) {
        // Who asked may have gone, here as there.
        match query {
            Query::Status(to) => drop(to.send(self.status.clone())),
            Query::Services(to) => drop(to.send(self.services.clone())),
            Query::Endpoints(to) => drop(to.send(self.endpoints.clone())),
            Query::Maps(to) => drop(to.send(self.maps.clone())),
            Query::Dump(to) => drop(to.send(self.dump.clone())),
            Query::Policies(to) => drop(to.send(explain::policies(&core.sources()))),
            Query::Pods(to) => drop(to.send(explain::pods(&core.sources()))),
            Query::Explain(question, to) => drop(to.send(explain::explain(&core.sources(), &question))),
            Query::Directory(to) => {
                let directory = Directory::new(core.snapshot(), core.view(), core.engine());
                drop(to.send(Arc::new(directory)));
            }
        }
    }
}

/// The ends of an admin socket whose queries go there.
pub(crate) fn ends(queries: mpsc::Sender<Query>) -> Ends {
    ends_with(queries, MemoryRing::pair().0)
}

/// The same, with a ring buffer of events.
pub(crate) fn ends_with(queries: mpsc::Sender<Query>, ring: MemoryRing) -> Ends {
    let (drops, read) = events::read(ring);
    tokio::spawn(read);
    Ends { queries, dns: None, drops, flows: Arc::new(NoFlows), metrics: Arc::default() }
}

struct NoFlows;

impl FlowSource for NoFlows {
    fn for_each(&self, _: &mut dyn FnMut(FlowKey, FlowValue)) -> Result<(), KernelError> {
        Ok(())
    }
}

fn counts<N>(pairs: &[(&str, N)]) -> BTreeMap<String, N>
where
    N: Copy,
{
    pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

fn status() -> StatusReport {
    StatusReport {
        version: "0.1.0".to_owned(),
        node: "node-1".to_owned(),
        ready: true,
        synced: true,
        revision: 7,
        uptime_secs: 3_725,
        maps_at_start: "adopted".to_owned(),
        last_sync: Some(SyncReport { age_secs: 1.0, applied: 9, ..SyncReport::default() }),
        programs: vec!["connect4".to_owned()],
        source: SourceReport {
            manifests: "/etc/ferrule".to_owned(),
            objects: counts(&[("Service", 2)]),
            passed_over: counts(&[("apps/v1/Deployment", 1)]),
            problems: BTreeMap::new(),
        },
        warnings: vec![WarningReport {
            object: "Service production/web".to_owned(),
            kind: "bad_address".to_owned(),
            detail: "spec.externalIPs[0]: \"x\" is no address".to_owned(),
        }],
        drops: counts(&[("unknown_service_port", 3)]),
        ..StatusReport::default()
    }
}

fn service(namespace: &str, ip: &str, backends: usize) -> ServiceReport {
    ServiceReport {
        namespace: namespace.to_owned(),
        name: "web".to_owned(),
        port: "http".to_owned(),
        protocol: "TCP".to_owned(),
        family: "IPv4".to_owned(),
        id: 1,
        frontends: vec![
            FrontendReport { kind: "ClusterIP".to_owned(), address: format!("{ip}:80/TCP"), held: true },
            FrontendReport {
                kind: "NodePort".to_owned(),
                address: "node-v4:30080/TCP".to_owned(),
                held: false,
            },
        ],
        flags: vec!["internal-local".to_owned()],
        cluster_backends: backends,
        connections: 12,
        refused: 3,
        ..ServiceReport::default()
    }
}

fn endpoint(address: &str, node: &str) -> EndpointReport {
    EndpointReport {
        namespace: "production".to_owned(),
        service: "web".to_owned(),
        port: "http".to_owned(),
        protocol: "TCP".to_owned(),
        address: address.to_owned(),
        state: "live".to_owned(),
        in_cluster_set: true,
        local: node == "node-1",
        node: Some(node.to_owned()),
        connections: 6,
        ..EndpointReport::default()
    }
}
