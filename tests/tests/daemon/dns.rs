//! Cluster DNS as pods see it: through the daemon, its child, and the node's own frontends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{DnsWorkload, Lab, LabSpec, Node, Outside, Pace, Pod, PodSpec, Question, Upstream, UpstreamMode};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::world::LIMIT;

pub(crate) const VIP: &str = "10.96.0.10";
pub(crate) const VIP6: &str = "fd00:10:96::a";
const BOTH: &str = "10.96.0.10,fd00:10:96::a";
pub(crate) const NAME: &str = "backend-api-svc.production.svc.cluster.local";

const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: backend-api-svc, namespace: production}
spec:
  clusterIP: 10.96.44.10
  clusterIPs: [10.96.44.10, 'fd00:10:96::2c0a']
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: production}
spec: {clusterIP: None, ports: [{name: pg, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: website, namespace: production}
spec: {type: ExternalName, externalName: www.example.org}
";

/// A node with a client pod, a host outside that answers for `example.org`, and the daemon.
pub(crate) struct World {
    pub(crate) lab: Lab,
    _outside: Outside,
    upstream: Upstream,
    pub(crate) client: Pod,
}

impl World {
    pub(crate) fn new(more: &[&str]) -> Result<Self> {
        let lab = Lab::new(LabSpec::default())?;
        let outside = lab.outside()?;
        let upstream = outside.upstream()?;
        lab.manifests().write("objects.yaml", OBJECTS)?;
        write_db(&lab, &["10.244.1.5"])?;
        let client = lab
            .node("node-1")?
            .add_pod(PodSpec::idle("production", "client").nameservers(&[VIP.parse()?]))?;
        let world = Self { lab, _outside: outside, upstream, client };
        world.start(more)?;
        Ok(world)
    }

    pub(crate) fn node(&self) -> Result<&Node> {
        self.lab.node("node-1")
    }

    pub(crate) fn start(&self, more: &[&str]) -> Result<()> {
        let args = [&["--cluster-dns", BOTH, "--dns-upstream", "172.31.0.100:53"], more].concat();
        let node = self.node()?;
        node.start_ferrule(self.lab.manifests().dir(), &args)?;
        node.wait_ready(LIMIT)?;
        self.wait_for_dns("a healthy DNS server", |report| {
            report["healthy"] == true && report["pid"].is_u64()
        })?;
        Ok(())
    }

    pub(crate) fn dns(&self) -> Result<Value> {
        let out = self.node()?.ferrule(&["dns", "status", "-o", "json"])?;
        serde_json::from_str(&out.stdout).with_context(|| format!("dns status: {out:?}"))
    }

    pub(crate) fn wait_for_dns(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        lab::until(what, LIMIT, || {
            last = self.dns().unwrap_or_default();
            Ok(wanted(&last))
        })
        .with_context(|| {
            format!("the last: {last:#}; the log: {}", self.node().map(Node::log_tail).unwrap_or_default())
        })?;
        Ok(last)
    }

    pub(crate) fn load(&self, name: &str) -> DnsWorkload {
        let to = SocketAddr::new(VIP.parse().unwrap(), 53);
        DnsWorkload::new(to, &[Question::new(name, "A")])
            .pace(Pace::PerSecond(1000))
            .timeout(Duration::from_secs(2))
    }

    /// Process id of the child that serves.
    pub(crate) fn child(&self) -> Result<Pid> {
        self.node()?.ferrule_child_pid()?.map(Pid::from_raw).context("no child")
    }

    pub(crate) fn dig(&self, args: &[&str]) -> Result<String> {
        let out = self.client.command(&[&["dig", "+short", "+tries=1", "+time=2"], args].concat())?;
        Ok(out.stdout.trim().to_owned())
    }
}

fn write_db(lab: &Lab, addrs: &[&str]) -> Result<()> {
    let endpoints: String = addrs.iter().map(|addr| format!("  - {{addresses: [{addr}]}}\n")).collect();
    lab.manifests().write(
        "db.yaml",
        &format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: db-1, namespace: production, labels: {{kubernetes.io/service-name: db}}}}\n\
             addressType: IPv4\nendpoints:\n{endpoints}ports: [{{name: pg, port: 5432}}]\n"
        ),
    )
}

#[test]
fn every_kind_of_client_resolves_short_full_and_outside_names() -> Result<()> {
    let world = World::new(&[])?;
    let report = world.dns()?;
    let listens = report["listen"].as_array().map(Vec::len);
    assert_eq!(listens, Some(2), "both families: {}", world.node()?.log_tail());
    assert_eq!(report["upstreams"], serde_json::json!(["172.31.0.100:53"]));
    let getent = |args: &[&str]| -> Result<String> {
        let out = world.client.command(&[&["getent"], args].concat())?;
        ensure!(out.is_success(), "getent {args:?}: {out:?}");
        Ok(out.stdout)
    };
    for name in ["backend-api-svc", "backend-api-svc.production", NAME] {
        assert!(getent(&["ahostsv4", name])?.contains("10.96.44.10"), "{name}");
        assert!(getent(&["ahostsv6", name])?.contains("fd00:10:96::2c0a"), "{name}");
        assert!(world.client.resolve_with_musl(&[name, "4"])?.stdout.contains("10.96.44.10"), "{name}");
        assert!(world.client.resolve_with_musl(&[name, "6"])?.stdout.contains("fd00:10:96::2c0a"), "{name}");
    }
    assert!(getent(&["ahostsv4", "www.example.org"])?.contains("192.0.2.1"));
    assert!(world.client.resolve_with_musl(&["www.example.org", "4"])?.stdout.contains("192.0.2.1"));
    assert!(getent(&["ahostsv4", "website"])?.contains("192.0.2.1"), "an alias of a name outside");
    assert!(!world.client.command(&["getent", "ahosts", "nothing.production"])?.is_success());
    for server in [format!("@{VIP}"), format!("@{VIP6}")] {
        assert_eq!(world.dig(&[&server, NAME])?, "10.96.44.10");
        assert_eq!(world.dig(&[&server, "+tcp", NAME, "AAAA"])?, "fd00:10:96::2c0a");
        let srv = format!("_http._tcp.{NAME}");
        assert_eq!(world.dig(&[&server, &srv, "SRV"])?, format!("0 100 80 {NAME}."));
        assert_eq!(world.dig(&[&server, "-x", "10.96.44.10"])?, format!("{NAME}."));
        assert_eq!(world.dig(&[&server, "www.example.org"])?, "192.0.2.1");
        // Truncated over UDP, so dig asks again over TCP.
        let big = world.dig(&[&server, "+ignore", "+noedns", "big.example.org"])?;
        let whole = world.dig(&[&server, "big.example.org"])?;
        assert!(big.lines().count() < 60 && whole.lines().count() == 60, "{big} {whole}");
    }
    Ok(())
}

#[test]
fn a_changed_endpoint_is_told_at_once() -> Result<()> {
    let world = World::new(&[])?;
    let at = format!("@{VIP}");
    let db = "db.production.svc.cluster.local";
    assert_eq!(world.dig(&[&at, db])?, "10.244.1.5");
    write_db(&world.lab, &["10.244.1.6", "10.244.1.7"])?;
    lab::until("the new endpoints", LIMIT, || {
        let mut addrs: Vec<String> = world.dig(&[&at, db])?.lines().map(str::to_owned).collect();
        addrs.sort();
        Ok(addrs == ["10.244.1.6", "10.244.1.7"])
    })?;
    Ok(())
}

#[test]
fn a_killed_child_is_missed_for_less_than_a_tenth_of_a_second() -> Result<()> {
    let world = World::new(&[])?;
    let load = world.client.client().start_dns(world.load(NAME))?;
    answered(&load, 1000)?;
    for _ in 0..3 {
        let pid = world.node()?.ferrule_child_pid()?.context("no child")?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
        world.wait_for_dns("another child", |report| {
            report["pid"].as_u64().is_some_and(|new| new != pid as u64)
        })?;
        answered(&load, 500)?;
    }
    let tally = load.stop()?;
    println!(
        "killed three times: {} sent, failed {:?}, longest gap {} µs",
        tally.sent, tally.failed, tally.longest_gap_us
    );
    // A query may have been read and not answered by each of them.
    assert!(tally.failures() <= 3 && tally.with_code("NOERROR") == tally.answers(), "{tally:?}");
    assert!(tally.longest_gap_us <= 100_000, "{} µs", tally.longest_gap_us);
    Ok(())
}

#[test]
fn a_killed_or_restarted_daemon_costs_no_query() -> Result<()> {
    let world = World::new(&[])?;
    let load = world.client.client().start_dns(world.load(NAME))?;
    answered(&load, 500)?;
    let old = world.node()?.ferrule_child_pid()?.context("no child")?;
    world.node()?.kill_ferrule()?;
    answered(&load, 500)?;
    world.start(&[])?;
    answered(&load, 500)?;
    lab::until(
        "the old child to end",
        LIMIT,
        || Ok(!std::path::Path::new(&format!("/proc/{old}")).exists()),
    )?;
    world.node()?.terminate_ferrule()?;
    answered(&load, 500)?;
    world.start(&[])?;
    answered(&load, 500)?;
    let tally = load.stop()?;
    println!(
        "killed and restarted: {} sent, failed {:?}, longest gap {} µs",
        tally.sent, tally.failed, tally.longest_gap_us
    );
    assert!(tally.failures() == 0 && tally.with_code("NOERROR") == tally.answers(), "{tally:?}");
    Ok(())
}

#[test]
fn where_nobody_else_could_answer_a_child_that_hangs_is_missed_for_a_second() -> Result<()> {
    let world = World::new(&[])?;
    let load = world.client.client().start_dns(world.load(NAME))?;
    answered(&load, 500)?;
    let pid = world.child()?;
    kill(pid, Signal::SIGSTOP)?;
    world.wait_for_dns("another child", |report| {
        report["healthy"] == true && report["pid"].as_u64() != Some(pid.as_raw() as u64)
    })?;
    answered(&load, 500)?;
    let tally = load.stop()?;
    println!(
        "stopped: {} sent, failed {:?}, longest gap {} µs",
        tally.sent, tally.failed, tally.longest_gap_us
    );
    // Three questions of a quarter of a second each, up to one before them, and a new child.
    assert!(tally.longest_gap_us <= 2_000_000, "{} µs", tally.longest_gap_us);
    Ok(())
}

#[test]
fn without_a_server_of_its_own_the_node_asks_the_services_endpoints_and_comes_back() -> Result<()> {
    let world = World::new(&[])?;
    // The Service's ordinary endpoint is a server that knows no cluster name.
    let other = world.lab.node("node-2")?.add_pod(PodSpec::upstream("kube-system", "coredns"))?;
    let kube_dns = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: kube-dns, namespace: kube-system}}\n\
         spec:\n  clusterIP: {VIP}\n  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53}}]\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: kube-dns-1, namespace: kube-system, labels: {{kubernetes.io/service-name: kube-dns}}}}\n\
         addressType: IPv4\nendpoints: [{{addresses: [{}]}}]\n\
         ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53}}]\n",
        other.address().v4
    );
    world.lab.manifests().write("kube-dns.yaml", &kube_dns)?;
    let at = format!("@{VIP}");
    let asks_other = |wanted: bool| {
        lab::until(if wanted { "the endpoints" } else { "the node's server" }, LIMIT, || {
            let before = other.upstream()?.queries()?.values().map(|count| count.udp).sum::<u64>();
            world.dig(&[&at, "www.example.org"])?;
            let after = other.upstream()?.queries()?.values().map(|count| count.udp).sum::<u64>();
            Ok((after > before) == wanted)
        })
    };
    asks_other(false)?;
    assert_eq!(world.dig(&[&at, NAME])?, "10.96.44.10");
    // What is sent to the server's address is lost: no other child would change that.
    let route = |verb: &str| {
        world.node()?.command(&["ip", "route", verb, "local", "169.254.20.53", "dev", "lo", "table", "local"])
    };
    assert!(route("del")?.is_success());
    asks_other(true)?;
    let problem = world.dns()?["problem"].to_string();
    assert!(problem.contains("no answer at 169.254.20.53:53"), "{problem}");
    assert!(route("add")?.is_success());
    asks_other(false)?;
    assert_eq!(world.dig(&[&at, NAME])?, "10.96.44.10");

    // A port that cannot be had: told, and the endpoints are asked.
    world.node()?.terminate_ferrule()?;
    let manifests = world.lab.manifests().dir();
    world.node()?.start_ferrule(manifests, &["--cluster-dns", VIP, "--dns-listen", "172.31.0.11:10256"])?;
    let report = world.wait_for_dns("the problem", |report| report["problem"].is_string())?;
    let problem = report["problem"].as_str().unwrap_or_default();
    assert!(
        problem.contains("172.31.0.11:10256 (TCP): process ") && problem.contains("(ferrule) has the port"),
        "{problem}"
    );
    world.node()?.wait_ready(LIMIT)?;
    asks_other(true)?;
    Ok(())
}

#[test]
fn outside_names_survive_a_dead_and_a_slow_upstream() -> Result<()> {
    let world = World::new(&["--dns-upstream", "172.31.0.200:53"])?;
    let at = format!("@{VIP}");
    // 172.31.0.200 is nobody. The first queries may find that out; then it is asked last.
    for _ in 0..4 {
        assert_eq!(world.dig(&[&at, "www.example.org"])?, "192.0.2.1");
    }
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(world.dig(&[&at, "www.example.org"])?, "192.0.2.1");
    }
    println!("ten names with one upstream dead: {:?}", begun.elapsed());
    world.upstream.set(UpstreamMode::Slow(Duration::from_millis(400)))?;
    assert_eq!(world.dig(&[&at, "www.example.org"])?, "192.0.2.1");
    world.upstream.set(UpstreamMode::Silent)?;
    let out = world.client.command(&["dig", "+tries=1", "+time=7", &at, "www.example.org"])?;
    assert!(out.stdout.contains("SERVFAIL"), "{out:?}");
    assert_eq!(world.dig(&[&at, NAME])?, "10.96.44.10", "cluster names have nothing to do with it");
    Ok(())
}

#[test]
fn cleanup_ends_the_child_and_takes_the_addresses_away() -> Result<()> {
    let world = World::new(&[])?;
    let node = world.node()?;
    let listens =
        |node: &Node| -> Result<String> { Ok(node.command(&["cat", "/proc/net/fib_trie"])?.stdout) };
    assert!(listens(node)?.contains("169.254.20.53"));
    let pid = node.ferrule_child_pid()?.context("no child")?;
    node.terminate_ferrule()?;
    assert!(listens(node)?.contains("169.254.20.53"), "what is in force stays in force");
    let out = node.cleanup_ferrule()?;
    assert_eq!(out.code, Some(0), "{out:?}");
    lab::until("the child to end", LIMIT, || Ok(!std::path::Path::new(&format!("/proc/{pid}")).exists()))?;
    assert!(!listens(node)?.contains("169.254.20.53"));
    Ok(())
}

#[test]
fn switched_off_it_leaves_nothing_behind() -> Result<()> {
    let world = World::new(&[])?;
    let node = world.node()?;
    let pid = node.ferrule_child_pid()?.context("no child")?;
    node.terminate_ferrule()?;
    node.start_ferrule(world.lab.manifests().dir(), &["--cluster-dns", "off"])?;
    node.wait_ready(LIMIT)?;
    lab::until("the child to end", LIMIT, || Ok(!std::path::Path::new(&format!("/proc/{pid}")).exists()))?;
    assert!(!node.command(&["cat", "/proc/net/fib_trie"])?.stdout.contains("169.254.20.53"));
    assert_eq!(world.dns()?["enabled"], false);
    let services = node.ferrule(&["services"])?.stdout;
    assert!(!services.contains("cluster-dns"), "{services}");
    Ok(())
}

#[test]
fn the_child_has_given_everything_away() -> Result<()> {
    let world = World::new(&[])?;
    let pid = world.node()?.ferrule_child_pid()?.context("no child")?;
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/comm"))?, "ferrule-dns\n");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
    ] {
        assert!(status.lines().any(|found| found == line), "{line} is not in\n{status}");
    }
    assert!(status.lines().any(|found| found.starts_with("Uid:\t65534")), "{status}");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    assert!(limits.lines().any(|l| l.starts_with("Max data size") && l.contains("536870912")), "{limits}");
    Ok(())
}

pub(crate) fn answered(load: &lab::DnsLoad, more: u64) -> Result<()> {
    let target = load.sample()?.answers() + more;
    lab::until("more answers", LIMIT, || Ok(load.sample()?.answers() >= target)).map(drop)
}
