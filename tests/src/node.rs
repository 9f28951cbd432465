//! One test's node: programs, maps, namespace and cgroup.

use std::cell::Cell;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi::{
    Addr, BackendEntry, BackendId, BackendState, CidrKey, FrontendKey, FrontendKind, FrontendValue,
    Generation, NodeAddrValue, Protocol, ServiceFlags, ServiceId, SetWord,
};
use aya::programs::{CgroupAttachMode, CgroupSock, CgroupSockAddr, Program, ProgramError};
use aya::{Ebpf, EbpfLoader};

use crate::address::abi_of;
use crate::backend::Backend;
use crate::cgroup::ScratchCgroup;
use crate::counters::Counters;
use crate::tables::{SIZES, Sets, Tables};
use crate::{Family, netns, object, skip};

/// Slots between the sets that a test makes: no set is larger.
const BLOCK: u32 = 8;

/// Which namespace the programs take for the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostNetns {
    /// The test's own: its sockets are the host's.
    This,
    /// Another one: the test's sockets are a pod's.
    Another,
    /// Not configured.
    Unset,
}

/// How a node is set up.
#[derive(Debug)]
pub struct NodeOptions {
    /// Which namespace is the host's.
    pub host_netns: HostNetns,
    /// A pinned map to take in place of the one with its name; made by the test with the same sizes.
    pub map: Option<PathBuf>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { host_netns: HostNetns::Another, map: None }
    }
}

/// A node with the programs in force.
pub struct Node {
    tables: Tables,
    // Holds programs and links.
    _ebpf: Ebpf,
    last_service: Cell<u32>,
    last_backend: Cell<u32>,
    last_block: Cell<u32>,
    cgroup: Arc<ScratchCgroup>,
}

impl Node {
    /// Runs a test on a node of its own whose sockets are a pod's; skips it without privileges.
    pub fn run<F: FnOnce(&Self) + Send>(test: F) {
        Self::run_with(NodeOptions::default, test);
    }

    /// As [`Self::run`], once for each way of dialling.
    pub fn run_each<F: Fn(&Self, Family) + Sync>(test: F) {
        Self::run_each_with(NodeOptions::default, test);
    }

    /// As [`Self::run_each`] with options.
    pub fn run_each_with<F: Fn(&Self, Family) + Sync>(options: impl Fn() -> NodeOptions + Sync, test: F) {
        let name = skip::test_name(&test);
        if skip::may_run(&name) {
            for family in Family::ALL {
                Self::run_inside(&name, &options, |node| test(node, family));
            }
        }
    }

    /// As [`Self::run`] with options, which are made inside the new namespaces.
    pub fn run_with<F: FnOnce(&Self) + Send>(options: impl FnOnce() -> NodeOptions + Send, test: F) {
        let name = skip::test_name(&test);
        if skip::may_run(&name) {
            Self::run_inside(&name, options, test);
        }
    }

    fn run_inside(name: &str, options: impl FnOnce() -> NodeOptions + Send, test: impl FnOnce(&Self) + Send) {
        let cgroup = Arc::new(ScratchCgroup::new());
        let outcome = std::thread::scope(|scope| {
            let inside = || {
                cgroup.hold(|| {
                    netns::enter_new();
                    test(&Self::new(Arc::clone(&cgroup), &options()));
                });
            };
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn_scoped(scope, inside).expect("a thread").join()
        });
        drop(cgroup);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    fn new(cgroup: Arc<ScratchCgroup>, options: &NodeOptions) -> Self {
        let cookie = match options.host_netns {
            HostNetns::This => netns::cookie(),
            HostNetns::Another => netns::cookie() ^ 1,
            HostNetns::Unset => 0,
        };
        let mut ebpf = load(cookie, options.map.as_deref());
        let directory = cgroup.open();
        let of_sockets = |program: &Program| !matches!(program, Program::SchedClassifier(_));
        for (name, program) in ebpf.programs_mut().filter(|(_, program)| of_sockets(program)) {
            object::load(program).unwrap_or_else(|e| panic!("{name}: {e}"));
            attach(program, &directory).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let tables = Tables::of(&mut ebpf);
        Self {
            tables,
            _ebpf: ebpf,
            last_service: Cell::new(0),
            last_backend: Cell::new(0),
            last_block: Cell::new(0),
            cgroup,
        }
    }

    /// The maps.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Services and slots, for other threads too.
    pub fn sets(&self) -> Arc<Sets> {
        self.tables.sets()
    }

    /// A new Service port without endpoints.
    pub fn service(&self, flags: ServiceFlags) -> ServiceId {
        let id = ServiceId(next(&self.last_service));
        self.sets().put_flags(id, flags);
        id
    }

    /// A frontend of a Service port; `at` as a client dials it.
    pub fn frontend(&self, at: SocketAddr, protocol: Protocol, kind: FrontendKind, service: ServiceId) {
        let (addr, port) = abi_of(at);
        self.tables.put_frontend(FrontendKey::new(addr, port, protocol), FrontendValue::new(service, kind));
    }

    /// Deletes a frontend.
    pub fn delete_frontend(&self, at: SocketAddr, protocol: Protocol) {
        let (addr, port) = abi_of(at);
        self.tables.delete_frontend(FrontendKey::new(addr, port, protocol));
    }

    /// The row that answers for all other ports of a ClusterIP.
    pub fn other_ports(&self, vip: IpAddr) {
        let value = FrontendValue::new(ServiceId::NONE, FrontendKind::OtherPorts);
        self.tables.put_frontend(FrontendKey::other_ports(vip.into()), value);
    }

    /// A NodePort: the frontend under the wildcard of the family.
    pub fn node_port(&self, family: Family, port: u16, protocol: Protocol, service: ServiceId) {
        self.frontend(SocketAddr::new(family.unspecified(), port), protocol, FrontendKind::NodePort, service);
    }

    /// NodePorts answer on this address of the node.
    pub fn node_addr(&self, ip: IpAddr) {
        self.tables.put_node_addr(ip.into(), NodeAddrValue::NODE_PORT);
    }

    /// The range that contains the service addresses of the family.
    pub fn service_cidr(&self, family: Family) {
        let bits = match family {
            Family::V4 | Family::Mapped => 96 + 24,
            Family::V6 => 112,
        };
        self.tables.put_cidr(CidrKey::new(Addr::from(family.vip(0)), bits));
    }

    /// Live backends of a Service port, listening on port `port` of the first `n` pods.
    pub fn backends(&self, family: Family, service: ServiceId, port: u16, n: usize) -> Vec<Backend> {
        (0..n).map(|pod| self.backend(service, SocketAddr::new(family.pod(pod), port))).collect()
    }

    /// A live backend of a Service port that listens on `at`.
    pub fn backend(&self, service: ServiceId, at: SocketAddr) -> Backend {
        let backend = Backend::listen(BackendId(next(&self.last_backend)), Generation(1), at);
        self.put_backend(service, &backend, BackendState::Live);
        backend
    }

    /// Writes the backend's row again, in another state or for another Service port.
    pub fn put_backend(&self, service: ServiceId, backend: &Backend, state: BackendState) {
        let (addr, port) = abi_of(backend.addr);
        let free = BackendEntry::gone(backend.generation);
        let entry = BackendEntry { service, state: state as u8, addr, port, ..free };
        self.tables.put_backend(backend.id, entry);
    }

    /// A set of these backends in new slots, not yet anybody's.
    pub fn set(&self, backends: &[&Backend]) -> SetWord {
        let base = next(&self.last_block) * BLOCK;
        let ids: Vec<_> = backends.iter().map(|b| b.id).collect();
        self.sets().put_slots(base, &ids);
        SetWord::new(base, ids.len() as u32)
    }

    /// Makes these the backends for the policy Cluster.
    pub fn use_cluster(&self, service: ServiceId, backends: &[&Backend]) {
        self.sets().put_cluster(service, self.set(backends));
    }

    /// Makes these the backends for the policy Local.
    pub fn use_local(&self, service: ServiceId, backends: &[&Backend]) {
        self.sets().put_local(service, self.set(backends));
    }

    /// Runs `work` outside the cgroup: the sockets that it makes meet no program.
    pub fn outside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.cgroup.release(work)
    }

    /// Runs `work` and says what was counted meanwhile.
    pub fn counted<T>(&self, work: impl FnOnce() -> T) -> (T, Counters) {
        let before = Counters::read(&self.tables);
        let result = work();
        (result, Counters::read(&self.tables).since(&before))
    }
}

/// Creates the maps from the object; programs are not loaded yet.
fn load(host_netns_cookie: u64, map: Option<&Path>) -> Ebpf {
    let mut loader = EbpfLoader::new();
    for (map, entries) in SIZES {
        loader.map_max_entries(map, *entries);
    }
    if let Some((pin, name)) = map.and_then(|pin| Some((pin, pin.file_name()?.to_str()?))) {
        loader.map_pin_path(name, pin);
    }
    loader.override_global(abi::HOST_NETNS_COOKIE, &host_netns_cookie, true);
    loader.load_file(object::path()).unwrap_or_else(|e| panic!("the kernel programs: {e}"))
}

fn next(last: &Cell<u32>) -> u32 {
    last.set(last.get() + 1);
    last.get()
}

/// Attaches a socket program for as long as its object lives.
fn attach(program: &mut Program, cgroup: &File) -> Result<(), ProgramError> {
    if let Program::CgroupSock(program) = program {
        let program: &mut CgroupSock = program;
        return program.attach(cgroup, CgroupAttachMode::Single).map(drop);
    }
    <&mut CgroupSockAddr>::try_from(program)?.attach(cgroup, CgroupAttachMode::Single).map(drop)
}
