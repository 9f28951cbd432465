//! The command line.

mod packets;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::dns::config::Upstreams;
use abi::PodId;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use compile::{Limits, SubjectLimits};
use hickory_proto::rr::Name;
use model::{ClusterDns, Snapshot};

pub use self::packets::{ExplainArgs, FlowsArgs, ProtocolArg};
use crate::config::Config;
use crate::dns::serve::{ServeConfig, workers};
use crate::dns::settings::{
    OwnAddrs, RESOLV_CONF, SettingsError, default_config, read_corefile, refuse_loops,
};
use crate::dns::supervisor::NodeDnsConfig;
use crate::preflight;
use crate::start_error::StartError;

/// Services, DNS and NetworkPolicy of one Kubernetes node, in eBPF.
#[derive(Debug, Parser)]
#[command(name = "ferrule", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon.
    Run(Box<RunArgs>),
    /// Take everything of ours out of the kernel. Stop the daemon first.
    Cleanup(CleanupArgs),
    /// Show how the daemon is doing.
    Status(ClientArgs),
    /// Show Services and their frontends.
    Services(FilterArgs),
    /// Show the backends of Services.
    Endpoints(FilterArgs),
    /// Show the kernel maps and how full they are.
    Maps(ClientArgs),
    /// Show NetworkPolicies, whom of this node they isolate, and whether they are in force.
    Policies(ClientArgs),
    /// Show the pods of this node and whether their policies are in force.
    Pods(ClientArgs),
    /// Show the conversations that policies and translation follow, or what is dropped.
    Flows(FlowsArgs),
    /// Say whether and why a connection passes: by what is compiled, and by what the kernel holds.
    ///
    /// Exit code 14 if the two differ.
    Explain(ExplainArgs),
    /// Cluster DNS.
    #[command(subcommand)]
    Dns(DnsCommand),
    /// Load every program and say whether this kernel takes it.
    #[command(hide = true)]
    CheckKernel,
}

/// Directories that the daemon and `cleanup` share.
#[derive(Debug, Args)]
pub struct Roots {
    /// A mounted bpffs: maps and links are pinned in it.
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf")]
    pub bpf_root: PathBuf,
    /// Where the admin socket is.
    #[arg(long, value_name = "DIR", default_value = "/run/ferrule")]
    pub state_dir: PathBuf,
    /// The cgroup v2 directory whose sockets are served [default: the one in /proc/mounts].
    #[arg(long, value_name = "DIR")]
    pub cgroup_root: Option<PathBuf>,
}

/// `ferrule run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A folder of Kubernetes YAML to serve: Services, EndpointSlices, Pods, Namespaces, Nodes, ServiceCIDRs.
    #[arg(long, value_name = "DIR")]
    pub manifests: PathBuf,
    /// This node's name [default: the host's name].
    #[arg(long, value_name = "NAME")]
    pub hostname_override: Option<String>,
    /// Shared directories.
    #[command(flatten)]
    pub roots: Roots,
    /// Address of the health server; without a port 10256, empty to switch it off.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:10256", value_parser = |s: &str| bind_address(s, 10256))]
    pub healthz_bind_address: Bind,
    /// Address of the metrics server; without a port 10249, empty to switch it off.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:10249", value_parser = |s: &str| bind_address(s, 10249))]
    pub metrics_bind_address: Bind,
    /// Whether an address that is taken stops the start; if false it is tried again every 5 s.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub bind_address_hard_fail: bool,
    /// Names of the devices that lead to peers and outside [default: found by the routes].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = device_name)]
    pub devices: Vec<String>,
    /// From the end of one round of writes to the start of the next.
    #[arg(long, value_name = "MS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=1000))]
    pub min_sync_period_ms: u64,
    /// Between comparisons of the kernel's maps with what they should hold.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub audit_period_secs: u64,
    /// Cluster DNS.
    #[command(flatten)]
    pub dns: DnsArgs,
    /// Maxima of the maps.
    #[command(flatten)]
    pub maxima: Maxima,
    /// Logging.
    #[command(flatten)]
    pub logging: LoggingArgs,
}

/// Cluster DNS in `ferrule run`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster DNS")]
pub struct DnsArgs {
    /// Addresses that pods ask: "auto" for those of Service kube-system/kube-dns, else the tenth of each ServiceCIDR,
    /// else 10.96.0.10; "off" to serve no DNS.
    #[arg(long, value_name = "IP,…|auto|off", default_value = "auto", value_parser = cluster_dns)]
    pub cluster_dns: ClusterDnsFlag,
    /// The cluster's zone.
    #[arg(long, value_name = "ZONE", default_value = "cluster.local", value_parser = zone)]
    pub cluster_domain: Name,
    /// Where the node's server listens, one address of each family; those that the node does not have are put on lo.
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',', default_value = DEFAULT_DNS_LISTEN, value_parser = dns_listen)]
    pub dns_listen: Vec<SocketAddr>,
    /// Where names outside the cluster are asked [default: the nameservers of /etc/resolv.conf].
    #[arg(long, value_name = "ADDR[:PORT]", value_delimiter = ',', value_parser = dns_upstream)]
    pub dns_upstream: Vec<SocketAddr>,
    /// A Corefile, in place of --cluster-domain and --dns-upstream.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dns_upstream", "cluster_domain"])]
    pub dns_corefile: Option<PathBuf>,
}

/// A link-local address for IPv4; for IPv6 a unique local one (RFC 4193), as link-local ones need a scope.
const DEFAULT_DNS_LISTEN: &str = "169.254.20.53:53,[fd46:6572:7275:6c65::53]:53";

/// `--cluster-dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterDnsFlag {
    /// No DNS.
    Off,
    /// DNS at these addresses.
    On(ClusterDns),
}

fn cluster_dns(text: &str) -> Result<ClusterDnsFlag, String> {
    match text {
        "off" | "" => return Ok(ClusterDnsFlag::Off),
        "auto" => return Ok(ClusterDnsFlag::On(ClusterDns::Auto)),
        _ => {}
    }
    let addr = |part: &str| -> Result<IpAddr, String> {
        let addr: IpAddr =
            part.trim().parse().map_err(|_| format!("{part:?} is not an IP address, auto or off"))?;
        if addr.is_unspecified() || addr.is_multicast() || addr.is_loopback() {
            return Err(format!("{addr} cannot be the address of a Service"));
        }
        Ok(addr)
    };
    let addrs = text.split(',').map(addr).collect::<Result<_, _>>()?;
    Ok(ClusterDnsFlag::On(ClusterDns::Addrs(addrs)))
}

fn dns_listen(text: &str) -> Result<SocketAddr, String> {
    let addr = address_with_port(text, 53)?;
    if addr.ip().is_unspecified() || addr.port() == 0 {
        return Err("an address of its own and a port are wanted: pods are sent there".to_owned());
    }
    if addr.ip().is_loopback() {
        return Err("pods are sent there, and have a loopback of their own".to_owned());
    }
    // Without a scope nobody can dial it (connect(2): EINVAL).
    if matches!(addr.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        return Err("pods are sent there, and a link-local IPv6 address needs a scope".to_owned());
    }
    if addr.ip().is_multicast() {
        return Err("not an address that one server has".to_owned());
    }
    Ok(addr)
}

fn dns_upstream(text: &str) -> Result<SocketAddr, String> {
    let addr = address_with_port(text, 53)?;
    if addr.ip().is_unspecified() || addr.port() == 0 {
        return Err("not an address that can be asked".to_owned());
    }
    Ok(addr)
}

impl DnsArgs {
    /// The configuration; `None` is off.
    fn into_config(
        self,
        state_dir: &Path,
        logging: &LoggingArgs,
    ) -> Result<Option<NodeDnsConfig>, StartError> {
        let ClusterDnsFlag::On(vips) = self.cluster_dns else { return Ok(None) };
        for family in [SocketAddr::is_ipv4, SocketAddr::is_ipv6] {
            if let [_, second, ..] =
                self.dns_listen.iter().filter(|addr| family(addr)).collect::<Vec<_>>().as_slice()
            {
                return Err(SettingsError::SecondListener { addr: **second }.into());
            }
        }
        let upstreams = if self.dns_upstream.is_empty() {
            Upstreams::File(RESOLV_CONF.into())
        } else {
            Upstreams::Addrs(self.dns_upstream)
        };
        let dns = match &self.dns_corefile {
            Some(path) => {
                let dns = read_corefile(path)?;
                if dns.health.is_some() || dns.ready.is_some() {
                    let file = path.display();
                    tracing::warn!(
                        "{file}: health and ready are not served: the daemon has /healthz, /livez and /readyz"
                    );
                }
                dns
            }
            None => default_config(&self.cluster_domain, upstreams),
        };
        // As long as nothing is known, the address that is used where nothing is found.
        let service = vips.addrs(&Snapshot::default());
        refuse_loops(&dns, &OwnAddrs { listen: self.dns_listen.clone(), service })?;
        let zones =
            dns.blocks.iter().filter_map(|block| block.cluster.as_ref()).flat_map(|cluster| &cluster.zones);
        let cluster_domain = zones.clone().next().cloned().unwrap_or(self.cluster_domain);
        let level = logging.v.to_string();
        let format = match logging.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let child_args = ["dns", "child", "-v", &level, "--log-format", format];
        Ok(Some(NodeDnsConfig {
            dns,
            cluster_domain,
            vips,
            listen: self.dns_listen,
            state_dir: state_dir.to_owned(),
            workers: workers(),
            child_args: child_args.map(OsString::from).to_vec(),
        }))
    }
}

/// Maxima of the maps, in entries. Maps that are adopted from an earlier run keep theirs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Maxima of the maps")]
pub struct Maxima {
    /// Frontends: about four for each dual-stack Service port, and two more with a NodePort.
    #[arg(long, value_name = "N", default_value_t = Limits::default().frontends, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_frontends: u32,
    /// Service ports, counted once a family.
    #[arg(long, value_name = "N", default_value_t = Limits::default().services - 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_services: u32,
    /// Backends: endpoints of all Service ports.
    #[arg(long, value_name = "N", default_value_t = Limits::default().backends - 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_backends: u32,
    /// Slots: each set of backends takes the next power of two of its size, and both sizes while it changes.
    #[arg(long, value_name = "N", default_value_t = Limits::default().slots, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_slots: u32,
    /// Addresses of this node.
    #[arg(long, value_name = "N", default_value_t = Limits::default().node_addrs, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_node_addresses: u32,
    /// Pods of this node.
    #[arg(long, value_name = "N", default_value_t = Limits::default().subjects.pods - PodId::FIRST.0, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub max_local_pods: u32,
    /// Sockets that are connected to a Service; and unconnected UDP sockets, once a Service that each talks to.
    #[arg(long, alias = "max-udp-sockets", value_name = "N", default_value_t = 131_072, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_sockets: u32,
}

/// How to log.
#[derive(Debug, Args)]
pub struct LoggingArgs {
    /// Verbosity as in Kubernetes: 2 shows changes of state, 4 unusual branches, 6 every object.
    #[arg(short, long, value_name = "N", default_value_t = 2)]
    pub v: u8,
    /// Format of the log on standard error.
    #[arg(long = "log-format", alias = "logging-format", value_name = "FORMAT", default_value = "text")]
    pub format: LogFormat,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `ferrule cleanup`.
#[derive(Debug, Args)]
pub struct CleanupArgs {
    /// Shared directories.
    #[command(flatten)]
    pub roots: Roots,
}

/// `ferrule dns`.
#[derive(Debug, Subcommand)]
pub enum DnsCommand {
    /// Serve cluster DNS alone, without the data plane. Needs no privileges above port 1024.
    Serve(DnsServeArgs),
    /// Show how the node's DNS server is doing.
    Status(ClientArgs),
    /// The process that the daemon starts: serves what its standard input says.
    #[command(hide = true)]
    Child(LoggingArgs),
}

/// `ferrule dns serve`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["manifests", "kubeconfig"])))]
pub struct DnsServeArgs {
    /// A folder of Kubernetes YAML: Services, EndpointSlices, Namespaces, Pods.
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// The API server to follow. Not yet: give --manifests.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Addresses to listen on, UDP and TCP each, port 53 unless one is given; several processes may have the same.
    #[arg(long, value_name = "ADDR[:PORT]", required = true, value_delimiter = ',', value_parser = |s: &str| address_with_port(s, 53))]
    pub listen: Vec<SocketAddr>,
    /// A Corefile; without one cluster names are served and the rest goes to the nameservers of /etc/resolv.conf.
    #[arg(long, value_name = "FILE")]
    pub corefile: Option<PathBuf>,
    /// The cluster's zone; a Corefile says it itself.
    #[arg(long, value_name = "ZONE", default_value = "cluster.local", value_parser = zone, conflicts_with = "corefile")]
    pub cluster_domain: Name,
    /// Logging.
    #[command(flatten)]
    pub logging: LoggingArgs,
}

impl DnsServeArgs {
    /// The configuration; `None` if it asks for what is not there yet.
    #[must_use]
    pub fn into_config(self) -> Option<ServeConfig> {
        Some(ServeConfig {
            manifests: self.manifests?,
            listen: self.listen,
            corefile: self.corefile,
            cluster_domain: self.cluster_domain,
        })
    }
}

fn zone(text: &str) -> Result<Name, String> {
    ::dns::corefile::parse_zone(text).map_err(|error| error.to_string())
}

/// Commands that ask the daemon.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Where the daemon's admin socket is.
    #[arg(long, value_name = "DIR", default_value = "/run/ferrule")]
    pub state_dir: PathBuf,
    /// How to show the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
}

/// Commands that show some of many objects.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Only this Service: name, or namespace/name.
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Only Services of this namespace.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Where to ask.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// How to show an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

/// An address to listen on, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind(pub Option<SocketAddr>);

/// What the command line came to.
#[derive(Debug)]
pub enum Parsed {
    /// A command.
    Command(Command),
    /// Text that was asked for: help or version.
    Text(String),
    /// One line that says what is wrong.
    Wrong(String),
}

/// Parses a command line. kube-proxy takes flags with underscores too, so they are taken for dashes.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed {
    let args = args.into_iter().map(|arg| match arg.to_str().and_then(|s| s.strip_prefix("--")) {
        Some(flag) => {
            let (name, value) = flag.split_at(flag.find('=').unwrap_or(flag.len()));
            OsString::from(format!("--{}{value}", name.replace('_', "-")))
        }
        None => arg,
    });
    match Cli::try_parse_from(args) {
        Ok(cli) => Parsed::Command(cli.command),
        Err(error) => {
            let is_asked_for = matches!(
                error.kind(),
                ErrorKind::DisplayHelp
                    | ErrorKind::DisplayVersion
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            );
            let text = error.to_string();
            if is_asked_for { Parsed::Text(text) } else { Parsed::Wrong(one_line(&text)) }
        }
    }
}

/// The first paragraph of clap's message in one line, without its usage.
fn one_line(message: &str) -> String {
    let paragraph: Vec<&str> = message.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    format!("{} (see ferrule --help)", paragraph.join(" "))
}

fn bind_address(text: &str, port: u16) -> Result<Bind, String> {
    if text.is_empty() {
        return Ok(Bind(None));
    }
    address_with_port(text, port).map(|addr| Bind(Some(addr)))
}

/// A name that the kernel takes for a device (net/core/dev.c, `dev_valid_name`).
fn device_name(text: &str) -> Result<String, String> {
    let is_name = (1..16).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace());
    if is_name { Ok(text.to_owned()) } else { Err(format!("{text:?} cannot be the name of a device")) }
}

fn address_with_port(text: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    text.parse().map_err(|_| "not an IP address with or without a port".to_owned())
}

impl RunArgs {
    /// Checks what can be checked before anything is touched, and makes the configuration.
    ///
    /// # Errors
    ///
    /// The first thing that would stop a start.
    pub fn into_config(self) -> Result<Config, StartError> {
        preflight::capabilities()?;
        let node_name = preflight::node_name(self.hostname_override.as_deref())?;
        preflight::bpffs(&self.roots.bpf_root)?;
        let cgroup_root = preflight::cgroup_root(self.roots.cgroup_root.as_deref())?;
        let dns = self.dns.into_config(&self.roots.state_dir, &self.logging)?;
        let m = &self.maxima;
        Ok(Config {
            node_name,
            manifests: self.manifests,
            cgroup_root,
            uplinks: (!self.devices.is_empty())
                .then(|| Arc::new(self.devices.iter().map(|name| name.as_str().into()).collect())),
            dns,
            bpf_root: self.roots.bpf_root,
            state_dir: self.roots.state_dir,
            healthz_bind: self.healthz_bind_address.0,
            metrics_bind: self.metrics_bind_address.0,
            bind_hard_fail: self.bind_address_hard_fail,
            limits: Limits {
                frontends: m.max_frontends,
                // Index 0 of these arrays is never used.
                services: m.max_services.saturating_add(1),
                backends: m.max_backends.saturating_add(1),
                slots: m.max_slots,
                node_addrs: m.max_node_addresses,
                subjects: SubjectLimits::for_pods(m.max_local_pods),
                ids: m.max_services.saturating_mul(2).max(Limits::default().ids),
                ..Limits::default()
            },
            socket_entries: m.max_sockets,
            min_sync_period: Duration::from_millis(self.min_sync_period_ms),
            audit_period: Duration::from_secs(self.audit_period_secs.max(1)),
            retry_first: Duration::from_millis(20),
            retry_last: Duration::from_secs(5),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Parsed {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn an_unknown_flag_is_named_in_one_line() {
        let Parsed::Wrong(line) = parsed("ferrule run --manifests /x --wings") else { panic!("wrong") };
        assert!(line.contains("--wings") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn a_missing_folder_is_named_in_one_line() {
        let Parsed::Wrong(line) = parsed("ferrule run") else { panic!("wrong") };
        assert!(line.contains("--manifests") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn kube_proxys_spellings_of_flags_are_taken() {
        for line in [
            "ferrule run --manifests=/x --hostname-override=n --healthz-bind-address=127.0.0.1:1",
            "ferrule run --manifests /x --hostname_override n --healthz_bind_address 127.0.0.1:1",
        ] {
            let Parsed::Command(Command::Run(run)) = parsed(line) else { panic!("run") };
            assert_eq!(run.hostname_override.as_deref(), Some("n"));
            assert_eq!(run.healthz_bind_address.0, Some("127.0.0.1:1".parse().unwrap()));
        }
    }

    #[test]
    fn an_address_without_a_port_gets_the_usual_one_and_an_empty_one_is_off() {
        assert_eq!(bind_address("10.0.0.1", 10256), Ok(Bind(Some("10.0.0.1:10256".parse().unwrap()))));
        assert_eq!(bind_address("::", 10249), Ok(Bind(Some("[::]:10249".parse().unwrap()))));
        assert_eq!(bind_address("[::1]:7", 10249), Ok(Bind(Some("[::1]:7".parse().unwrap()))));
        assert_eq!(bind_address("", 1), Ok(Bind(None)));
        assert!(bind_address("localhost:1", 1).is_err());
    }

    #[test]
    fn devices_are_named_by_names_that_devices_can_have() {
        let Parsed::Command(Command::Run(run)) = parsed("ferrule run --manifests /x --devices eth0,bond0.7")
        else {
            panic!("run")
        };
        assert_eq!(run.devices, ["eth0", "bond0.7"]);
        for name in ["", "a/b", "eth0:1", "sixteen-letters1"] {
            assert!(device_name(name).is_err(), "{name}");
        }
        let Parsed::Wrong(line) = parsed("ferrule run --manifests /x --devices eth0,,eth1") else {
            panic!("wrong")
        };
        assert!(line.contains("--devices") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn drops_are_followed_by_either_word() {
        let follows = |line| {
            let Parsed::Command(Command::Flows(args)) = parsed(line) else { panic!("{line}") };
            args.follow
        };
        assert!(!follows("ferrule flows --pod shop/web"));
        assert!(follows("ferrule flows --follow"));
        assert!(follows("ferrule flows --dropped"));
        assert!(follows("ferrule flows --follow --dropped"));
    }

    #[test]
    fn a_port_or_protocol_that_is_none_is_named_in_one_line() {
        for flag in ["--port 0", "--port 65536", "--port http", "--protocol icmp"] {
            let line = format!("ferrule explain --from a/b --to c/d {flag}");
            let Parsed::Wrong(line) = parsed(&line) else { panic!("{flag}") };
            let (name, value) = flag.split_once(' ').unwrap();
            assert!(line.contains(name) && line.contains(value) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn the_maximum_of_sockets_still_has_its_first_name() {
        for flag in ["--max-sockets", "--max-udp-sockets", "--max_udp_sockets"] {
            let line = format!("ferrule run --manifests /x {flag} 7");
            let Parsed::Command(Command::Run(run)) = parsed(&line) else { panic!("{flag}") };
            assert_eq!(run.maxima.max_sockets, 7);
        }
    }

    #[test]
    fn hard_fail_can_be_switched_off() {
        let line = "ferrule run --manifests /x --bind-address-hard-fail=false";
        let Parsed::Command(Command::Run(run)) = parsed(line) else { panic!("run") };
        assert!(!run.bind_address_hard_fail);
    }

    #[test]
    fn addresses_that_no_pod_reaches_are_refused_where_pods_are_sent_and_nowhere_else() {
        for addr in
            ["127.0.0.1", "127.0.0.53:53", "[::1]:53", "fe80::1", "[fe80::1]:53", "224.0.0.1", "0.0.0.0"]
        {
            let Parsed::Wrong(line) = parsed(&format!("ferrule run --manifests /x --dns-listen {addr}"))
            else {
                panic!("{addr}")
            };
            assert!(line.contains(addr) && line.contains("--dns-listen"), "{line}");
        }
        for line in [
            "ferrule run --manifests /x --dns-listen 169.254.20.53,[fd00::53]:5353",
            "ferrule dns serve --manifests /x --listen 127.0.0.1,[::1]:53",
        ] {
            assert!(matches!(parsed(line), Parsed::Command(_)), "{line}");
        }
    }

    #[test]
    fn a_corefile_excludes_what_it_says_itself() {
        for line in [
            "ferrule dns serve --manifests /x --listen 127.0.0.1 --corefile /c --cluster-domain a.example",
            "ferrule run --manifests /x --dns-corefile /c --cluster-domain a.example",
            "ferrule run --manifests /x --dns-corefile /c --dns-upstream 192.0.2.1",
        ] {
            let Parsed::Wrong(error) = parsed(line) else { panic!("{line}") };
            assert!(error.contains("corefile") && error.contains("cannot be used with"), "{error}");
        }
        let alone = "ferrule dns serve --manifests /x --listen 127.0.0.1 --corefile /c";
        assert!(matches!(parsed(alone), Parsed::Command(_)));
    }

    #[test]
    fn an_upstream_that_is_a_cluster_dns_address_is_refused_also_where_that_is_found_by_itself() {
        let config = |flags: &str| {
            let Parsed::Command(Command::Run(run)) = parsed(&format!("ferrule run --manifests /x {flags}"))
            else {
                panic!("{flags}")
            };
            run.dns.into_config(Path::new("/state"), &run.logging)
        };
        for flags in ["--dns-upstream 10.96.0.10", "--cluster-dns 10.0.0.10 --dns-upstream 10.0.0.10:53"] {
            let error = config(flags).unwrap_err();
            assert!(matches!(error, StartError::DnsSettings(SettingsError::Loop { .. })), "{flags}: {error}");
        }
        for flags in ["--dns-upstream 10.96.0.10:54", "--cluster-dns 10.0.0.10 --dns-upstream 10.96.0.10"] {
            assert!(config(flags).is_ok_and(|config| config.is_some()), "{flags}");
        }
    }
}
