//! What addresses and ids stand for, as of one round of the sync loop: for flows and events, whose records are numbers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use abi::{Addr, FrontendKey, IfIndex, PodId, Port, Protocol, RuleId, ServiceId};
use compile::policy::RuleName;
use compile::{Engine, ServiceView, SubjectNames};
use model::{NodeView, ObjectName, Pod, Snapshot};

use crate::admin::reports::EndReport;
use crate::explain::{ExplainError, Named, find_pod};

/// See the module. The loop fills it quickly; what takes longer is done by who first asks.
#[derive(Debug)]
pub struct Directory {
    snapshot: Snapshot,
    view: NodeView,
    rules: BTreeMap<RuleId, RuleName>,
    subjects: SubjectNames,
    services: Vec<ServiceView>,
    index: OnceLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    pods: HashMap<Addr, Vec<ObjectName>>,
    nodes: HashMap<Addr, Arc<str>>,
    /// Names of Service ports, by what clients dial.
    frontends: HashMap<FrontendKey, String>,
    services: HashMap<ServiceId, String>,
}

impl Directory {
    /// The directory of a round.
    #[must_use]
    pub fn new(snapshot: &Snapshot, view: &NodeView, engine: &Engine) -> Self {
        Self {
            snapshot: snapshot.clone(),
            view: view.clone(),
            rules: engine.rule_names().clone(),
            subjects: engine.subject_names(),
            services: engine.services().collect(),
            index: OnceLock::new(),
        }
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut index = Index::default();
            for (name, pod) in &self.snapshot.pods {
                if pod.is_host_network || pod.is_finished {
                    continue;
                }
                for addr in &pod.addrs {
                    index.pods.entry((*addr).into()).or_default().push(name.clone());
                }
            }
            for (name, node) in &self.snapshot.nodes {
                index.nodes.extend(node.addrs.iter().map(|addr| (Addr::from(*addr), Arc::clone(name))));
            }
            let own = self.view.addrs.iter();
            index.nodes.extend(own.map(|addr| (Addr::from(*addr), Arc::clone(&self.view.name))));
            for service in &self.services {
                let name = service.key.port.to_string();
                for frontend in service.frontends.iter().filter(|frontend| frontend.is_held) {
                    index.frontends.insert(frontend.key, name.clone());
                }
                index.services.insert(service.id, name);
            }
            index
        })
    }

    /// An end, with who has it.
    #[must_use]
    pub fn end(&self, addr: Addr, port: Port, protocol: Protocol) -> EndReport {
        let index = self.index();
        let node = index.nodes.get(&addr);
        let own = node.filter(|node| **node == self.view.name).map(|_| addr.any_of_family());
        let mut dialled = std::iter::once(addr).chain(own);
        EndReport {
            address: addr.to_string(),
            port: port.get(),
            pods: index.pods.get(&addr).into_iter().flatten().map(ToString::to_string).collect(),
            node: node.map(ToString::to_string),
            service: dialled
                .find_map(|addr| index.frontends.get(&FrontendKey::new(addr, port, protocol)).cloned()),
        }
    }

    /// A pod of the cluster by its name.
    ///
    /// # Errors
    ///
    /// There is none, or several.
    pub fn find_pod(&self, name: &Named) -> Result<&Pod, ExplainError> {
        find_pod(&self.snapshot, name).map(|pod| &**pod)
    }

    /// A pod of this node.
    #[must_use]
    pub fn pod(&self, id: PodId) -> Option<&ObjectName> {
        self.subjects.pods.get(&id)
    }

    /// A rule.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&RuleName> {
        self.rules.get(&id)
    }

    /// A Service port.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> Option<&str> {
        self.index().services.get(&id).map(String::as_str)
    }

    /// The name of a device, or its index.
    #[must_use]
    pub fn device(&self, ifindex: IfIndex) -> String {
        match self.subjects.devices.get(&ifindex) {
            Some(name) => name.to_string(),
            None => format!("interface {}", ifindex.0),
        }
    }
}
