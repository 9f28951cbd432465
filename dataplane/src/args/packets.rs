//! Commands that ask about packets.

use clap::{Args, ValueEnum};

use super::ClientArgs;

/// `ferrule flows`.
#[derive(Debug, Args)]
pub struct FlowsArgs {
    /// Show drops as they happen, one a line, until interrupted.
    #[arg(short, long, visible_alias = "dropped", overrides_with = "follow")]
    pub follow: bool,
    /// Only of this pod: namespace/name, or a name that one pod has.
    #[arg(long, value_name = "POD")]
    pub pod: Option<String>,
    /// Where to ask.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// `ferrule explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Who opens the connection: a pod (namespace/name, or a name that one pod has), or an address.
    #[arg(long, value_name = "POD|IP")]
    pub from: String,
    /// Where to: a pod, an address, or a Service's port by its name or number (namespace/name:port).
    #[arg(long, value_name = "POD|IP|SERVICE:PORT")]
    pub to: String,
    /// The port; a Service says it itself.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The protocol [default: that of the Service's port, else tcp].
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<ProtocolArg>,
    /// Where to ask.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// A protocol that has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolArg {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl ProtocolArg {
    /// The word that the daemon is asked with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}
