//! Reports of NetworkPolicies, of the node's pods, and of one question about both.

use serde::{Deserialize, Serialize};

/// A NetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyReport {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Directions that it isolates: ingress, egress.
    pub directions: Vec<String>,
    /// The pods of this node that it isolates.
    pub pods: Vec<String>,
    /// unused: it selects no pod of this node; in force; pending: not all of it is in the kernel yet, what is missing is
    /// closed or as before; closed: some of what it allows does not pass.
    pub state: String,
    /// Why it is not in force, one line each.
    pub reasons: Vec<String>,
}

/// A pod of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodReport {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Addresses.
    pub addresses: Vec<String>,
    /// It shares the node's network: no policy applies to it.
    pub host_network: bool,
    /// The host's side of its interface, if it is known.
    pub interface: Option<String>,
    /// The policies that isolate it for connections to it.
    pub ingress: Vec<String>,
    /// The policies that isolate it for connections from it.
    pub egress: Vec<String>,
    /// Whether the kernel judges its packets by exactly these policies.
    pub in_force: bool,
    /// Why not, one line each.
    pub reasons: Vec<String>,
    /// Why its connections are balanced packet by packet and not at its sockets, if they are.
    pub per_packet: Option<String>,
}

/// `/explain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExplainReport {
    /// The opener, as it was found.
    pub from: String,
    /// The destination, as it was found.
    pub to: String,
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// The port that is dialled.
    pub port: u16,
    /// The Service port that translates the connection.
    pub service: Option<String>,
    /// What is to be known besides.
    pub notes: Vec<String>,
    /// One for each backend, or for each family in which both ends have an address.
    pub paths: Vec<PathReport>,
    /// Whether what is compiled and what the kernel holds say the same. False is a defect, or writes that are pending.
    pub agree: bool,
    /// Writes that are outstanding: until they are done, the kernel is as before.
    pub pending: usize,
}

/// One connection that may come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathReport {
    /// The opener's address.
    pub source: String,
    /// Address and port, behind the Service.
    pub destination: String,
    /// The pod that has the address.
    pub pod: Option<String>,
    /// allowed, denied; undecided: this node lets it pass, another one decides too.
    pub verdict: String,
    /// At the opener.
    pub egress: SideReport,
    /// At the destination.
    pub ingress: SideReport,
}

/// What one end says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SideReport {
    /// The pod whose policies are asked.
    pub pod: Option<String>,
    /// Why this node asks no policy, if it asks none.
    pub not_judged: Option<String>,
    /// The node whose daemon decides, if it is another one.
    pub elsewhere: Option<String>,
    /// What the compiled tables say.
    pub compiled: Option<VerdictReport>,
    /// What the kernel's maps say, read for this answer.
    pub kernel: Option<VerdictReport>,
}

/// What tables say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerdictReport {
    /// open: nothing isolates the pod; allowed; denied; not programmed: denied, as the policy is not in the maps.
    pub verdict: String,
    /// What decided.
    pub rule: Option<String>,
    /// The policy objects that it names.
    pub policies: Vec<String>,
}
