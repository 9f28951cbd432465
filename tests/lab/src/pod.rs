//! Pods: a network namespace, a kubelet-style cgroup, addresses, and perhaps a server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

use crate::address::Dual;
use crate::cgroup::Cgroup;
use crate::client::{Client, dev_null, lock};
use crate::command::Output;
use crate::early::EarlySender;
use crate::etc::{CLUSTER_DNS, Etc};
use crate::node::{Node, Wire};
use crate::packet::Mac;
use crate::pipe::read_line;
use crate::place::Place;
use crate::process::Process;
use crate::site::Site;
use crate::upstream::Upstream;
use crate::wiring::{POD_DEVICE, Wiring};
use crate::{musl, netns};

/// How long a server may take to open its sockets.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// How long a server may take to end, beyond its grace period.
const EXIT_SLACK: Duration = Duration::from_secs(5);

/// What a pod is to be.
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// Name, unique within the namespace.
    pub name: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What runs in it.
    pub role: Role,
    /// Whom its resolvers ask.
    pub nameservers: Vec<IpAddr>,
    /// How it is wired; nothing for as its node's pods are.
    pub wiring: Option<Wiring>,
    /// Its UID; nothing for one that is made with the pod.
    pub uid: Option<String>,
    /// What it sends from its first millisecond, before it has a network, and to whom; nothing if it is empty.
    pub early: Vec<SocketAddr>,
}

/// What runs in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing until its client is used.
    Idle,
    /// A server on that TCP and UDP port, which goes on for `grace` after SIGTERM.
    Server {
        /// Port of both protocols.
        port: u16,
        /// Time from SIGTERM to the end.
        grace: Duration,
    },
    /// A DNS server of the world outside the cluster, on port 53.
    Upstream,
}

impl PodSpec {
    /// A pod in which nothing runs until its client is used.
    pub fn idle(namespace: &str, name: &str) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            labels: BTreeMap::new(),
            role: Role::Idle,
            nameservers: vec![CLUSTER_DNS],
            wiring: None,
            uid: None,
            early: Vec::new(),
        }
    }

    /// A pod with a server that ends at once on SIGTERM.
    pub fn server(namespace: &str, name: &str, port: u16) -> Self {
        Self { role: Role::Server { port, grace: Duration::ZERO }, ..Self::idle(namespace, name) }
    }

    /// A pod that is a DNS server of the world outside the cluster.
    pub fn upstream(namespace: &str, name: &str) -> Self {
        Self { role: Role::Upstream, ..Self::idle(namespace, name) }
    }

    /// The same with a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// The same with other name servers than [`CLUSTER_DNS`] in its resolv.conf, in that order.
    #[must_use]
    pub fn nameservers(self, nameservers: &[IpAddr]) -> Self {
        Self { nameservers: nameservers.to_vec(), ..self }
    }

    /// The same, wired in that way whatever its node's pods are.
    #[must_use]
    pub fn wired(self, wiring: Wiring) -> Self {
        Self { wiring: Some(wiring), ..self }
    }

    /// The same with a UID that is known before the pod is made, as the API server knows it: see [`new_uid`].
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        Self { uid: Some(uid.into()), ..self }
    }

    /// The same with a process that is there before the wire and sends to these addresses as fast as it can: a datagram
    /// and a SYN each. What of it gets out is what a node lets out before it knows the pod.
    #[must_use]
    pub fn sending_early(self, to: &[SocketAddr]) -> Self {
        Self { early: to.to_vec(), ..self }
    }

    /// The same, its server going on for `grace` after SIGTERM.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        let role = match self.role {
            Role::Server { port, grace: _ } => Role::Server { port, grace },
            other @ (Role::Idle | Role::Upstream) => other,
        };
        Self { role, ..self }
    }
}

/// A pod. It lives until it is deleted or the lab ends; clones are the same pod.
#[derive(Clone, Debug)]
pub struct Pod(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: PodSpec,
    uid: String,
    address: Dual,
    node: Node,
    place: Arc<Place>,
    /// Cgroup of the pod; the container's is below it.
    cgroup: Cgroup,
    wire: Wire,
    early: Option<EarlySender>,
    server: Option<Arc<Process>>,
    upstream: Option<Upstream>,
    client: Client,
    site: Site,
    deleted: Mutex<bool>,
}

impl Pod {
    /// Makes a pod on `node`: namespace, wires, cgroup, then the server, whose sockets are open on return.
    pub(crate) fn new(node: &Node, spec: PodSpec) -> Result<Self> {
        let uid = spec.uid.clone().map_or_else(new_uid, Ok)?;
        let name = place_name(&spec);
        // As a kubelet does it: the cgroup first, then perhaps a process, then the wire.
        let (address, place, cgroup) = {
            let _open = node.gate().pass()?;
            let netns_name = node.lab_id().netns_name(&name);
            let (netns, _) = netns::Netns::create(&netns_name, &[])?;
            let address = node.take_addresses()?;
            let cgroup = node.cgroup().child(format!("kubepods/burstable/pod{uid}"));
            let container = cgroup.child(uid.replace('-', ""));
            let etc = Etc::write(node.lab_id(), &name, &spec.namespace, address, &spec.nameservers)?;
            let gate = Arc::clone(node.gate());
            let place = Place::new(node.lab_id(), name, netns, container, gate)?.with_etc(etc);
            (address, Arc::new(place), cgroup)
        };
        let early = match &*spec.early {
            [] => None,
            targets => Some(EarlySender::start(&place, targets)?),
        };
        let wire = {
            let _open = node.gate().pass()?;
            node.wire(address, spec.wiring, &uid, &place.netns)?
        };
        let (server, upstream) = match spec.role {
            Role::Idle => (None, None),
            Role::Server { port, grace } => (Some(start_server(&place, &spec.name, port, grace)?), None),
            Role::Upstream => (None, Some(Upstream::start(&place)?)),
        };
        let client = Client::new(Arc::clone(&place));
        let site = Site::new(&place);
        let node = node.clone();
        let deleted = Mutex::new(false);
        Ok(Self(Arc::new(Inner {
            spec,
            uid,
            address,
            node,
            place,
            cgroup,
            wire,
            early,
            server,
            upstream,
            client,
            site,
            deleted,
        })))
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.0.spec.name
    }

    /// Kubernetes namespace.
    pub fn namespace(&self) -> &str {
        &self.0.spec.namespace
    }

    /// Labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0.spec.labels
    }

    /// What runs in it.
    pub fn role(&self) -> Role {
        self.0.spec.role
    }

    /// UID, as it is in the cgroup's name too.
    pub fn uid(&self) -> &str {
        &self.0.uid
    }

    /// Addresses.
    pub fn address(&self) -> Dual {
        self.0.address
    }

    /// How it is wired.
    pub fn wiring(&self) -> Wiring {
        self.0.wire.wiring
    }

    /// Name of the node's end of its wire.
    pub fn host_device(&self) -> &str {
        &self.0.wire.device
    }

    /// Where it sends what leaves its link: the node's end of its wire, or the bridge.
    pub fn gateway_mac(&self) -> Mac {
        self.0.wire.gateway_mac
    }

    /// Changes the MTU of both ends of its wire.
    ///
    /// # Errors
    ///
    /// The kernel refused it.
    pub fn set_mtu(&self, bytes: u32) -> Result<()> {
        self.0.node.set_wire_mtu(self.0.wire.host_end, bytes)?;
        let mut netlink = self.0.place.netns.netlink()?;
        let device = netlink.index_of(POD_DEVICE)?;
        netlink.set_mtu(device, bytes)
    }

    /// For packet tests: what can be sent, captured and measured from the pod.
    pub fn site(&self) -> Site {
        self.0.site.clone()
    }

    /// What sends since before it had a network.
    ///
    /// # Errors
    ///
    /// The pod was not made [`PodSpec::sending_early`].
    pub fn early(&self) -> Result<&EarlySender> {
        self.0.early.as_ref().with_context(|| format!("pod {} does not send by itself", self.name()))
    }

    /// The node that it runs on.
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    /// Sends requests from this pod.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Its name for `ferrule-lab exec`.
    pub fn place(&self) -> &str {
        &self.0.place.name
    }

    /// The container's cgroup.
    pub fn cgroup(&self) -> &Cgroup {
        &self.0.place.cgroup
    }

    /// The DNS server of a pod with that role.
    ///
    /// # Errors
    ///
    /// The pod has another role.
    pub fn upstream(&self) -> Result<&Upstream> {
        self.0.upstream.as_ref().with_context(|| format!("pod {} is no DNS server", self.name()))
    }

    /// Resolves a name in the pod with musl: `resolve NAME [4|6]`, see `clients/resolve.c`. Built at the first use.
    ///
    /// # Errors
    ///
    /// It could not be built, for want of musl-gcc for one. How it ended is in the output.
    pub fn resolve_with_musl(&self, args: &[&str]) -> Result<Output> {
        self.0.place.run_program(&musl::resolver()?, args.iter().map(OsString::from).collect())
    }

    /// Runs a program of this machine in the pod, `["getent", "ahosts", "www"]` for one; it sees the pod's resolv.conf.
    ///
    /// # Errors
    ///
    /// There is no such program, or it still ran after 30 seconds. How it ended is in the output.
    pub fn command(&self, command: &[&str]) -> Result<Output> {
        self.0.place.run(command)
    }

    /// Tells the server that it will end, as the kubelet does: SIGTERM. It goes on serving for its grace period.
    ///
    /// # Errors
    ///
    /// The signal could not be sent.
    pub fn terminate(&self) -> Result<()> {
        self.0.server.as_ref().map_or(Ok(()), |server| server.signal(Signal::SIGTERM))
    }

    /// Ends the pod as the kubelet does: SIGTERM, the rest of the grace period, then everything of it goes.
    ///
    /// # Errors
    ///
    /// The server outlived its grace period, the pod was deleted before, or a part could not be removed.
    pub fn delete(&self) -> Result<()> {
        self.end().with_context(|| format!("deleting pod {}", self.name()))
    }

    fn end(&self) -> Result<()> {
        let inner = &*self.0;
        ensure!(!std::mem::replace(&mut *lock(&inner.deleted), true), "it has been deleted before");
        self.terminate()?;
        if let (Some(server), Role::Server { grace, .. }) = (&inner.server, inner.spec.role) {
            server.wait(grace + EXIT_SLACK)?;
        }
        let _open = inner.node.gate().pass()?;
        inner.cgroup.kill()?;
        inner.node.unwire(inner.address, inner.wire.host_end)?;
        netns::remove(inner.place.netns.name())?;
        inner.cgroup.remove()?;
        inner.place.forget()
    }
}

fn start_server(place: &Place, name: &str, port: u16, grace: Duration) -> Result<Arc<Process>> {
    let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let port = port.to_string();
    let grace = grace.as_millis().to_string();
    let args = ["serve", "--name", name, "--port", &port, "--grace-ms", &grace];
    let server = place.start_worker(&args, dev_null()?.as_fd(), their_stdout.as_fd())?;
    drop(their_stdout);
    read_line(&File::from(stdout), &mut Vec::new(), READY_LIMIT)
        .with_context(|| format!("starting the server of {name}; see {}", place.log().display()))?;
    Ok(server)
}

/// Names of pods are unique within their Kubernetes namespace only.
fn place_name(spec: &PodSpec) -> String {
    format!("{}.{}", spec.namespace, spec.name)
}

/// A random (version 4) UUID; the kernel makes them.
///
/// # Errors
///
/// The kernel did not.
pub fn new_uid() -> Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("making a UID")?;
    Ok(text.trim_end().to_owned())
}
