//! Policies as the daemon tells of them, beside what the network does: explanations, drops as they happen, conversations.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use abi::LAYOUT_VERSION;
use anyhow::{Context, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use lab::manifests::{self, Condition};
use lab::{Lab, LabSpec, Node, Pod, PodSpec, Probe, ProbeResult};
use serde_json::Value;

use crate::world::LIMIT;

/// Who may dial `db` is `app=web`, on 5432; `app=web` may dial `db` on 5432.
const POLICIES: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db-in}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: web-out}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]
";

/// `web`, `db` and `other` on node-1, `far` (which is `app=web` too) on node-2.
struct Shop {
    lab: Lab,
    web: Pod,
    db: Pod,
    other: Pod,
    far: Pod,
}

impl Shop {
    fn new() -> Result<Self> {
        let lab = Lab::new(LabSpec::default())?;
        let add = |node: &str, name: &str, app: &str| {
            let pod = lab.node(node)?.add_pod(PodSpec::idle("shop", name).label("app", app))?;
            lab.manifests().apply(&manifests::pod(&pod, Condition::Ready))?;
            Ok::<_, anyhow::Error>(pod)
        };
        let (web, db) = (add("node-1", "web", "web")?, add("node-1", "db", "db")?);
        let (other, far) = (add("node-1", "other", "other")?, add("node-2", "far", "web")?);
        for node in lab.nodes() {
            lab.manifests().apply(&manifests::node(node))?;
        }
        lab.manifests().write("policies.yaml", POLICIES)?;
        lab.start_ferrule(LIMIT)?;
        Ok(Self { lab, web, db, other, far })
    }

    fn node(&self) -> Result<&Node> {
        self.lab.node("node-1")
    }

    /// What the daemon of a node says of a connection to `db`; whether it may pass, as far as that node decides.
    fn explained(&self, node: &Node, from: &Pod, port: u16) -> Result<bool> {
        let from = format!("shop/{}", from.name());
        let port = port.to_string();
        let out =
            node.ferrule(&["explain", "--from", &from, "--to", "shop/db", "--port", &port, "-o", "json"])?;
        let report: Value = serde_json::from_str(&out.stdout).with_context(|| format!("{out:?}"))?;
        assert_eq!((out.code, &report["agree"]), (Some(0), &Value::Bool(true)), "{report:#}");
        let paths = report["paths"].as_array().context("paths")?;
        assert_eq!(paths.len(), 2, "one a family: {report:#}");
        let passes: Vec<bool> = paths.iter().map(|path| path["verdict"] != "denied").collect();
        assert_eq!(passes[0], passes[1], "{report:#}");
        Ok(passes[0])
    }

    /// Whether connections to `db` in both families are answered.
    fn reaches(&self, from: &Pod, port: u16) -> Result<bool> {
        let probes = self.db.address().both().map(|ip| Probe::tcp(SocketAddr::new(ip, port)));
        let results = from.site().probe(&probes, Duration::from_secs(1))?;
        let answered: Vec<bool> =
            results.iter().map(|result| matches!(result, ProbeResult::Answered { .. })).collect();
        assert_eq!(answered[0], answered[1], "{results:?}");
        Ok(answered[0])
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        let out = self.node()?.ferrule(&args)?;
        serde_json::from_str(&out.stdout).with_context(|| format!("{out:?}"))
    }

    fn map(&self, name: &str) -> Result<MapData> {
        let pin = self.node()?.bpf_root().join(format!("ferrule/{LAYOUT_VERSION}/{name}"));
        MapData::from_pin(&pin).with_context(|| pin.display().to_string())
    }

    /// Whether programs write events.
    fn are_events_wanted(&self) -> Result<bool> {
        let listeners: Array<MapData, u32> = Map::Array(self.map("LISTENERS")?).try_into()?;
        Ok(listeners.get(&0, 0)? != 0)
    }
}

/// `ferrule flows --follow`, killed when it is dropped.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(shop: &Shop, more: &[&str]) -> Result<Self> {
        let mut child = Command::new(lab::ferrule()?)
            .args(["flows", "--follow", "-o", "json", "--state-dir"])
            .arg(shop.node()?.state_dir())
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("its output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Who reads may have gone.
            BufReader::new(stdout).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let follower = Self { child, lines };
        lab::until("events to be wanted", LIMIT, || shop.are_events_wanted())?;
        Ok(follower)
    }

    fn next(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.lines.recv_timeout(LIMIT)?)?)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_explained_is_what_the_network_does() -> Result<()> {
    let shop = Shop::new()?;
    let _server = shop.db.site().echo(&[5432, 80])?;
    let mut reached = Vec::new();
    for pod in [&shop.web, &shop.other, &shop.far] {
        for port in [5432, 80] {
            let mut passes = true;
            for node in shop.lab.nodes() {
                passes &= shop.explained(node, pod, port)?;
            }
            assert_eq!(shop.reaches(pod, port)?, passes, "{} to db on {port}", pod.name());
            if passes {
                reached.push((pod.name(), port));
            }
        }
    }
    assert_eq!(reached, [("web", 5432), ("far", 5432)]);
    Ok(())
}

#[test]
fn a_drop_is_told_as_it_happens_with_its_pods_and_its_rule() -> Result<()> {
    let shop = Shop::new()?;
    assert!(!shop.are_events_wanted()?);
    let follower = Follower::start(&shop, &["--pod", "shop/web"])?;
    // Not of this pod.
    assert!(!shop.reaches(&shop.other, 80)?);
    assert!(!shop.reaches(&shop.web, 80)?);
    let event = follower.next()?;
    assert_eq!(event["reason"], "egress_denied", "{event:#}");
    assert_eq!(event["hook"], "from_pod", "{event:#}");
    assert_eq!(event["interface"], shop.web.host_device(), "{event:#}");
    assert_eq!(event["pod"], "shop/web", "{event:#}");
    assert_eq!(event["rule"], "egress default of shop/web-out", "{event:#}");
    assert_eq!(event["source"]["pods"], serde_json::json!(["shop/web"]), "{event:#}");
    assert_eq!(event["destination"]["pods"], serde_json::json!(["shop/db"]), "{event:#}");
    assert_eq!(event["destination"]["port"], 80, "{event:#}");
    drop(follower);
    lab::until("nobody to want events", LIMIT, || Ok(!shop.are_events_wanted()?))?;
    let drops = shop.json(&["status"])?["drops"].clone();
    for reason in ["egress_denied", "ingress_denied"] {
        assert!(drops[reason].as_u64() > Some(0), "{drops}");
    }
    Ok(())
}

#[test]
fn a_conversation_is_shown_with_its_ends_its_packets_and_its_rules() -> Result<()> {
    let shop = Shop::new()?;
    let _server = shop.db.site().echo(&[5432])?;
    assert!(shop.reaches(&shop.web, 5432)?);
    let report = shop.json(&["flows", "--pod", "shop/db"])?;
    let flows = report["flows"].as_array().context("flows")?;
    let of_web = |flow: &&Value| flow["source"]["pods"] == serde_json::json!(["shop/web"]);
    assert_eq!(flows.iter().filter(of_web).count(), 2, "one a family: {report:#}");
    for flow in flows {
        assert_eq!(flow["protocol"], "TCP", "{flow:#}");
        assert_eq!(flow["destination"]["port"], 5432, "{flow:#}");
        assert_eq!(flow["egress"], "shop/web-out egress[0]", "{flow:#}");
        assert_eq!(flow["ingress"], "shop/db-in ingress[0]", "{flow:#}");
        for leg in ["sent", "received"] {
            let (packets, bytes) = (flow[leg]["packets"].as_u64(), flow[leg]["bytes"].as_u64());
            assert!(packets >= Some(3) && bytes > packets.map(|packets| packets * 40), "{flow:#}");
        }
    }
    let table = shop.node()?.ferrule(&["flows", "--pod", "shop/db"])?;
    assert!(
        table.stdout.contains("(shop/web)") && table.stdout.contains("shop/db-in ingress[0]"),
        "{table:?}"
    );
    let unknown = shop.node()?.ferrule(&["flows", "--pod", "shop/nobody"])?;
    assert_eq!((unknown.code, unknown.stderr.as_str()), (Some(1), "error: no pod shop/nobody\n"));
    Ok(())
}

#[test]
fn a_map_that_somebody_changed_gives_an_exit_code_of_its_own() -> Result<()> {
    let shop = Shop::new()?;
    let node = shop.node()?;
    assert!(shop.explained(node, &shop.web, 5432)?);
    let mut identities: HashMap<MapData, [u8; 16], u32> = Map::HashMap(shop.map("IDENTITIES")?).try_into()?;
    identities.remove(&shop.web.address().v4.to_ipv6_mapped().octets())?;
    let out = node.ferrule(&["explain", "--from", "shop/web", "--to", "shop/db", "--port", "5432"])?;
    assert_eq!(out.code, Some(14), "{out:?}");
    assert!(out.stdout.contains("DIFFERENCE") && out.stderr.starts_with("error: "), "{out:?}");
    Ok(())
}

#[test]
fn policies_and_pods_say_that_they_are_in_force() -> Result<()> {
    let shop = Shop::new()?;
    let policies = shop.json(&["policies"])?;
    for (policy, pod) in [("db-in", "shop/db"), ("web-out", "shop/web")] {
        let all = policies.as_array().context("policies")?;
        let report = all.iter().find(|report| report["name"] == policy).context(policy)?;
        assert_eq!(report["state"], "in force", "{report:#}");
        assert_eq!(report["pods"], serde_json::json!([pod]), "{report:#}");
    }
    let pods = shop.json(&["pods"])?;
    let pods = pods.as_array().context("pods")?;
    assert_eq!(pods.len(), 3, "those of this node: {pods:#?}");
    for (pod, name) in [(&shop.web, "web"), (&shop.db, "db"), (&shop.other, "other")] {
        let report = pods.iter().find(|report| report["name"] == name).context(name)?;
        assert_eq!(report["in_force"], true, "{report:#}");
        assert_eq!(report["interface"], pod.host_device(), "{report:#}");
    }
    Ok(())
}

#[test]
fn a_daemon_that_ends_leaves_nobody_to_write_events_for() -> Result<()> {
    let shop = Shop::new()?;
    let mut follower = Follower::start(&shop, &[])?;
    assert_eq!(shop.node()?.terminate_ferrule()?, 0);
    assert!(!shop.are_events_wanted()?);
    assert_eq!(follower.child.wait()?.code(), Some(1));
    // One that is killed leaves the switch, and the next one turns it off.
    shop.lab.node("node-1")?.start_ferrule(shop.lab.manifests().dir(), &[])?;
    shop.node()?.wait_ready(LIMIT)?;
    let _follower = Follower::start(&shop, &[])?;
    shop.node()?.kill_ferrule()?;
    assert!(shop.are_events_wanted()?);
    shop.lab.node("node-1")?.start_ferrule(shop.lab.manifests().dir(), &[])?;
    lab::until("nobody to want events", LIMIT, || Ok(!shop.are_events_wanted()?))?;
    Ok(())
}
