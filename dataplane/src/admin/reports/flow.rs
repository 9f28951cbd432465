//! Reports of conversations and of packets that were dropped.

use serde::{Deserialize, Serialize};

/// One end of a conversation, and who has the address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndReport {
    /// Address; empty if the packet could not be read.
    pub address: String,
    /// Port; zero for protocols without ports, an echo's identifier.
    pub port: u16,
    /// The pods that have the address; more than one if they all claim it.
    pub pods: Vec<String>,
    /// The node that has the address.
    pub node: Option<String>,
    /// The Service port that address and port are a frontend of.
    pub service: Option<String>,
}

/// One line of `/drops`: a packet that was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropReport {
    /// When, in UTC (RFC 3339). As exact as the kernel's tick.
    pub time: String,
    /// Why: the reasons of `ferrule_drops_total`.
    pub reason: String,
    /// The program that decided.
    pub hook: String,
    /// The interface, by its index if its name is not known.
    pub interface: String,
    /// TCP, UDP, SCTP, or a number.
    pub protocol: String,
    /// Sender.
    pub source: EndReport,
    /// Receiver, behind the Service that was dialled.
    pub destination: EndReport,
    /// Bytes of the packet, network header included.
    pub bytes: u32,
    /// The pod whose policies decided.
    pub pod: Option<String>,
    /// What of them decided: a rule, or the default of the policies that isolate the pod.
    pub rule: Option<String>,
    /// The policy objects that the rule names.
    pub policies: Vec<String>,
    /// Events lost right before this one, because they came faster than they were fetched.
    pub lost: u64,
}

/// `/flows`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowsReport {
    /// Conversations.
    pub flows: Vec<FlowReport>,
    /// Those that were asked for and had no room in the answer.
    pub left_out: u64,
}

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowReport {
    /// TCP, UDP, SCTP, or a number.
    pub protocol: String,
    /// Who opened it.
    pub source: EndReport,
    /// What it dialled.
    pub destination: EndReport,
    /// The Service port that translates it.
    pub service: Option<String>,
    /// The backend that it went to, if something translates it.
    pub backend: Option<EndReport>,
    /// The node's address and port that the backend sees for the source.
    pub masquerade: Option<String>,
    /// opening, open, closing, closed; unanswered, answered for protocols without connections.
    pub state: String,
    /// host: the node opened it, and no policy asks; adopted: found in the middle of the conversation.
    pub flags: Vec<String>,
    /// Interface that the opener's packets come by.
    pub interface: String,
    /// From the opener.
    pub sent: LegReport,
    /// To the opener.
    pub received: LegReport,
    /// Since the last packet in either direction.
    pub idle_secs: u64,
    /// The rule that let it out of the opener's pod, if policies isolate it.
    pub egress: Option<String>,
    /// The rule that let it into the other end's pod, if policies isolate it.
    pub ingress: Option<String>,
}

/// One direction of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegReport {
    /// Packets.
    pub packets: u64,
    /// Bytes, network headers included.
    pub bytes: u64,
}
