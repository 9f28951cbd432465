//! Harness of the packet tests: one program, one packet, what became of it (`BPF_PROG_TEST_RUN`).
//!
//! ```text
//! PacketNode  one network namespace with the interfaces of a node, and the programs of the whole test binary
//!  ├─ net      addresses      ├─ craft    packets, and what they become by plain arithmetic
//!  ├─ links    interfaces     ├─ outcome  verdict, bytes, counters and flows after a packet, as assertions
//!  └─ tables   typed rows     └─ row      Services, pods and policies in a line each
//! ```
//!
//! To verify the programs takes longer than all tests, so they are loaded once a binary, and tests take turns with maps
//! that are emptied in between.
//!
//! What a test run cannot show: where a redirect goes (the verdict says only that there is one), checksums that a device
//! is to complete, packets without a socket (each has one of the calling thread's cgroup), what the stack does next.

pub mod craft;
mod links;
mod net;
mod outcome;
mod row;
mod tables;

use std::cell::Cell;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use abi::{
    DeviceEntry, DeviceFlags, DeviceKind, FlowKey, Heading, Hook, IfIndex, Leg, NodeAddrValue, Protocol,
};
use aya::programs::{Program, SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use nix::time::{ClockId, clock_gettime};

pub use links::Links;
pub use net::{LINK_MTU, NARROW_MTU, Net};
pub use outcome::{Outcome, Verdict, assert_packet};
pub use row::{PodRow, Where};
pub use tables::{FlowTable, Flows, PacketTables};

use crate::counters::Counters;
use crate::tables::Tables;
use crate::{object, skip};

/// Levels of cgroups above those that the programs take for pods': tests' own are on the second.
const CGROUP_LEVEL: u32 = 1;
/// A frame that comes out is no longer than this.
const ROOM: usize = 8192;

/// Programs and maps of the binary.
struct Loaded {
    tables: Tables,
    packet: PacketTables,
    ebpf: Ebpf,
}

static LOADED: LazyLock<Mutex<Loaded>> = LazyLock::new(|| Mutex::new(Loaded::new()));

impl Loaded {
    fn new() -> Self {
        let mut loader = EbpfLoader::new();
        for (map, entries) in crate::tables::SIZES.iter().chain(tables::SIZES) {
            loader.map_max_entries(map, *entries);
        }
        loader.override_global(abi::CGROUP_LEVEL, &CGROUP_LEVEL, true);
        let mut ebpf =
            loader.load_file(object::path()).unwrap_or_else(|e| panic!("the kernel programs: {e}"));
        for hook in Hook::ALL {
            let program = ebpf.program_mut(hook.as_str()).unwrap_or_else(|| panic!("{hook:?}"));
            object::load(program).unwrap_or_else(|e| panic!("{hook:?}: {e}"));
        }
        Self { tables: Tables::of(&mut ebpf), packet: PacketTables::of(&mut ebpf), ebpf }
    }

    fn program(&self, hook: Hook) -> &SchedClassifier {
        let program: &Program = self.ebpf.program(hook.as_str()).unwrap_or_else(|| panic!("{hook:?}"));
        program.try_into().unwrap_or_else(|e| panic!("{hook:?}: {e}"))
    }
}

/// A node whose packet programs are run by hand, one packet at a time.
pub struct PacketNode {
    /// The interfaces.
    pub links: Links,
    loaded: MutexGuard<'static, Loaded>,
    net: Net,
    last_service: Cell<u32>,
    last_backend: Cell<u32>,
    last_block: Cell<u32>,
}

/// A flow, from the side of whoever opened it.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Where it is.
    pub table: FlowTable,
    /// Its key.
    pub key: FlowKey,
    /// What it says.
    pub value: abi::FlowValue,
    heading: Heading,
}

impl Flow {
    /// The leg of packets that go the way that was asked for.
    pub fn there(&self) -> Leg {
        match self.heading {
            Heading::Up => self.value.up,
            Heading::Down => self.value.down,
        }
    }

    /// The other leg.
    pub fn back(&self) -> Leg {
        match self.heading {
            Heading::Up => self.value.down,
            Heading::Down => self.value.up,
        }
    }

    /// Packets there and back.
    pub fn packets(&self) -> (u64, u64) {
        (self.there().packets, self.back().packets)
    }
}

impl PacketNode {
    /// Runs a test in each family; skips it without privileges.
    pub fn run_each<F: Fn(&Self, Net) + Sync>(test: F) {
        let name = skip::test_name(&test);
        if !skip::may_run(&name) {
            return;
        }
        let outcome = std::thread::scope(|scope| {
            let inside = || {
                let links = links::enter_new();
                for net in Net::ALL {
                    test(&Self::new(links, net), net);
                }
            };
            std::thread::Builder::new().name(name).spawn_scoped(scope, inside).expect("a thread").join()
        });
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    fn new(links: Links, net: Net) -> Self {
        // A test that failed leaves nothing that the next one does not empty.
        let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.tables.clear();
        loaded.packet.clear();
        let none = Cell::new(0);
        let node = Self {
            links,
            loaded,
            net,
            last_service: none.clone(),
            last_backend: none.clone(),
            last_block: none,
        };
        for (link, addr) in [(links.outer, net.node()), (links.inner, net.inner_node())] {
            let uplink = DeviceEntry::new(DeviceKind::Uplink, DeviceFlags::default(), LINK_MTU);
            node.packet().put_device(link, uplink.with_snat(addr.into()));
        }
        node.tables().put_node_addr(net.node().into(), NodeAddrValue::NODE_PORT);
        node.tables().put_node_addr(net.inner_node().into(), NodeAddrValue(0));
        node
    }

    /// The maps of Services.
    pub fn tables(&self) -> &Tables {
        &self.loaded.tables
    }

    /// The maps of subjects, policies and flows.
    pub fn packet(&self) -> &PacketTables {
        &self.loaded.packet
    }

    /// Sends an IP packet through a program on an interface.
    pub fn send(&self, hook: Hook, link: IfIndex, packet: &[u8]) -> Outcome {
        let ethertype = if packet[0] >> 4 == 4 { craft::ETHERTYPE_V4 } else { craft::ETHERTYPE_V6 };
        self.send_frame(hook, link, &craft::frame(ethertype, packet), 0)
    }

    /// An IP packet from outside.
    pub fn from_net(&self, packet: &[u8]) -> Outcome {
        self.send(Hook::FromNet, self.links.outer, packet)
    }

    /// An IP packet from other nodes.
    pub fn from_inner(&self, packet: &[u8]) -> Outcome {
        self.send(Hook::FromNet, self.links.inner, packet)
    }

    /// An IP packet to the outside.
    pub fn to_net(&self, packet: &[u8]) -> Outcome {
        self.send(Hook::ToNet, self.links.outer, packet)
    }

    /// An IP packet from pod `i`, 1 to 3.
    pub fn from_pod(&self, i: u8, packet: &[u8]) -> Outcome {
        self.send(Hook::FromPod, self.pod_link(i), packet)
    }

    /// An IP packet to pod `i`, 1 to 3.
    pub fn to_pod(&self, i: u8, packet: &[u8]) -> Outcome {
        self.send(Hook::ToPod, self.pod_link(i), packet)
    }

    /// The host's side of a pod's interface.
    pub fn pod_link(&self, i: u8) -> IfIndex {
        self.links.pods[usize::from(i) - 1]
    }

    /// Sends a frame through a program on an interface, as one that stands for segments with `gso_size` bytes of payload
    /// each if that is not zero.
    pub fn send_frame(&self, hook: Hook, link: IfIndex, frame: &[u8], gso_size: u32) -> Outcome {
        let counters = Counters::read(self.tables());
        let (flows, fragments) = (self.packet().flows(), self.packet().fragments());
        let (ctx, mut out) = (context(link, gso_size), vec![0; ROOM]);
        let run = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&ctx),
            ..TestRunOptions::default()
        };
        let result = self.loaded.program(hook).test_run(run).unwrap_or_else(|e| panic!("{hook:?}: {e:?}"));
        out.truncate(result.data_size_out as usize);
        Outcome {
            verdict: Verdict::of(result.return_value.cast_signed()),
            sent: frame.to_vec(),
            frame: out,
            counted: Counters::read(self.tables()).since(&counters),
            changed: (flows, fragments) != (self.packet().flows(), self.packet().fragments()),
        }
    }

    /// The flow of packets from one end to the other.
    pub fn flow(
        &self,
        from: std::net::SocketAddr,
        to: std::net::SocketAddr,
        protocol: Protocol,
    ) -> Option<Flow> {
        let (key, heading) = FlowKey::of(crate::address::abi_of(from), crate::address::abi_of(to), protocol);
        let (table, value) = *self.packet().flows().get(&key)?;
        Some(Flow { table, key, value, heading })
    }

    /// Makes a flow as old as if its last packets had passed so long before. `None` if the machine has not been up for
    /// that long.
    pub fn age(&self, flow: &Flow, seconds: u64) -> Option<()> {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("a clock");
        let now = now.tv_sec().cast_unsigned() * 1_000_000_000 + now.tv_nsec().cast_unsigned();
        let then = now.checked_sub(seconds * 1_000_000_000)?;
        let mut value = flow.value;
        (value.up.last_seen, value.down.last_seen) = (then, then);
        self.packet().put_flow(flow.table, flow.key, value);
        Some(())
    }
}

/// The fields of `__sk_buff` that a run may set, at their offsets (`include/uapi/linux/bpf.h`).
fn context(link: IfIndex, gso_size: u32) -> [u8; 192] {
    let mut ctx = [0; 192];
    ctx[40..44].copy_from_slice(&link.0.to_ne_bytes());
    ctx[176..180].copy_from_slice(&gso_size.to_ne_bytes());
    ctx
}
