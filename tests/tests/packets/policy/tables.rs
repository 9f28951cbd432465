//! Tables: each policy, and who still reaches whom.

use anyhow::Result;
use lab::Protocol;
use lab::manifests::{self, Condition, Endpoint, PolicySpec, Rule, Selector, ServicePort, ServiceSpec};
use lab::{Dual, Node, Pod, Target};

use super::town::{PORTS, Town};

fn namespace_of(site: &str) -> &str {
    site.split('.').next().unwrap_or_default()
}

/// A policy for x.a, on the ptp-wired node, and one for x.b, on the bridged one: what the second admits is what the first
/// does.
fn of_both(name: &str, to: impl Fn(PolicySpec) -> PolicySpec) -> [PolicySpec; 2] {
    ["a", "b"].map(|app| to(PolicySpec::new("x", &format!("{name}-{app}")).pods(Selector::label("app", app))))
}

fn is_of_both(site: &str) -> bool {
    matches!(site, "x.a" | "x.b")
}

#[test]
fn without_policies_all_is_open_and_isolation_closes_one_direction() -> Result<()> {
    let town = Town::new()?;
    town.expect("nothing is isolated", &PORTS, |_| true)?;
    let deny = PolicySpec::new("x", "deny").isolate_ingress();
    town.with_policies("all of x for ingress", &[deny], &[80], |p| namespace_of(p.to) != "x")?;
    let deny = PolicySpec::new("x", "deny").isolate_egress();
    town.with_policies("all of x for egress", &[deny], &[80], |p| namespace_of(p.from) != "x")?;
    let both = of_both("deny", |policy| policy.isolate_ingress().isolate_egress());
    town.with_policies("two pods for both", &both, &[80], |p| !is_of_both(p.to) && !is_of_both(p.from))?;
    let all = PolicySpec::new("x", "all").ingress(Rule::all()).egress(Rule::all());
    let deny = PolicySpec::new("x", "deny").isolate_ingress().isolate_egress();
    town.with_policies("isolated, all allowed", &[deny, all], &[80], |_| true)?;
    town.expect("all are gone", &[80], |_| true)
}

#[test]
fn peers_are_selected_by_every_form_of_selector() -> Result<()> {
    let town = Town::new()?;
    let app = |app: &str| Selector::label("app", app);
    let team = |team: &str| Selector::label("team", team);
    type Cases<'a> = [(&'a str, Rule, &'a [&'a str]); 11];
    let cases: Cases<'_> = [
        ("pods of the namespace", Rule::all().pods(app("b")), &["x.b"]),
        ("all pods of the namespace", Rule::all().pods(Selector::default()), &["x.a", "x.b", "x.c"]),
        ("a namespace", Rule::all().namespaces(team("two")), &["y.a", "y.b"]),
        (
            "a namespace by its name",
            Rule::all().namespaces(Selector::label("kubernetes.io/metadata.name", "y")),
            &["y.a", "y.b"],
        ),
        ("both at once", Rule::all().pods_in(team("two"), app("b")), &["y.b"]),
        ("one or the other", Rule::all().namespaces(team("two")).pods(app("c")), &["y.a", "y.b", "x.c"]),
        ("every namespace", Rule::all().pods_in(Selector::default(), app("a")), &["x.a", "y.a"]),
        ("In", Rule::all().pods(Selector::default().is_in("app", &["b", "c", "d"])), &["x.b", "x.c"]),
        (
            "NotIn",
            Rule::all().pods_in(Selector::default().is_not_in("team", &["one"]), Selector::default()),
            &["y.a", "y.b"],
        ),
        ("Exists", Rule::all().pods(Selector::default().exists("tier")), &["x.c"]),
        ("DoesNotExist", Rule::all().pods(Selector::default().does_not_exist("tier")), &["x.a", "x.b"]),
    ];
    for (what, rule, peers) in cases {
        let ingress = of_both("from", |policy| policy.ingress(rule.clone()));
        town.with_policies(&format!("ingress: {what}"), &ingress, &[80], |p| {
            !is_of_both(p.to) || peers.contains(&p.from)
        })?;
        let egress = of_both("to", |policy| policy.egress(rule.clone()));
        town.with_policies(&format!("egress: {what}"), &egress, &[80], |p| {
            !is_of_both(p.from) || peers.contains(&p.to)
        })?;
    }
    Ok(())
}

#[test]
fn blocks_are_addresses_of_hosts_and_of_pods() -> Result<()> {
    let town = Town::new()?;
    let outside = town.outside.address();
    let rule = Rule::all().addresses(outside.both());
    town.with_policies("the host outside", &of_both("from", |p| p.ingress(rule.clone())), &[80], |p| {
        !is_of_both(p.to) || p.from == "outside"
    })?;
    let rule = Rule::all().addresses(town.pod("y.a").address().both());
    town.with_policies("a pod", &of_both("from", |p| p.ingress(rule.clone())), &[80], |p| {
        !is_of_both(p.to) || p.from == "y.a"
    })?;
    town.with_policies("a pod, egress", &of_both("to", |p| p.egress(rule.clone())), &[80], |p| {
        !is_of_both(p.from) || p.to == "y.a"
    })?;
    let rule = Rule::all().addresses(town.node(0).address().both());
    // The other node's packets to a pod have the address of its uplink.
    town.with_policies("a node", &of_both("from", |p| p.ingress(rule.clone())), &[80], |p| {
        !is_of_both(p.to) || p.from == "node-1"
    })?;
    let [v4, v6] = outside.both().map(|ip| ip.to_string());
    let rule = Rule::all()
        .block("0.0.0.0/0", &[&format!("{v4}/32"), "10.244.1.0/24"])
        .block("::/0", &[&format!("{v6}/128"), "fd00:10:244:1::/64"]);
    town.with_policies(
        "all but a host and a node's pods",
        &of_both("from", |p| p.ingress(rule.clone())),
        &[80],
        |p| !is_of_both(p.to) || !matches!(p.from, "outside" | "x.a" | "y.a"),
    )?;
    // An exception is a hole in its block and no deny.
    let rule = rule.addresses(town.pod("y.a").address().both());
    town.with_policies("one of the exceptions", &of_both("from", |p| p.ingress(rule.clone())), &[80], |p| {
        !is_of_both(p.to) || !matches!(p.from, "outside" | "x.a")
    })
}

#[test]
fn ports_are_numbers_ranges_names_and_protocols() -> Result<()> {
    let town = Town::new()?;
    type Open = fn(&str, u16, Protocol) -> bool;
    let cases: [(&str, Rule, Open); 6] = [
        ("a port", Rule::all().port("TCP", 81), |_, port, protocol| port == 81 && protocol == Protocol::Tcp),
        ("a range", Rule::all().ports("UDP", 81, 90), |_, port, protocol| {
            port >= 81 && protocol == Protocol::Udp
        }),
        ("a name", Rule::all().port("TCP", "web"), |to, port, protocol| {
            port == if to.ends_with(".a") { 80 } else { 81 } && protocol == Protocol::Tcp
        }),
        ("a name in the other protocol", Rule::all().port("UDP", "web"), |_, _, _| false),
        ("a protocol", Rule::all().protocol("UDP"), |_, _, protocol| protocol == Protocol::Udp),
        ("several", Rule::all().port("TCP", 80).ports("TCP", 90, 91).port("UDP", 81), |_, port, protocol| {
            match protocol {
                Protocol::Tcp => port != 81,
                Protocol::Udp => port == 81,
            }
        }),
    ];
    for (what, rule, is_open) in cases {
        let ingress = of_both("at", |policy| policy.ingress(rule.clone()));
        town.with_policies(&format!("ingress: {what}"), &ingress, &PORTS, |p| {
            !is_of_both(p.to) || is_open(p.to, p.port, p.protocol)
        })?;
        let egress = of_both("to", |policy| policy.egress(rule.clone()));
        town.with_policies(&format!("egress: {what}"), &egress, &PORTS, |p| {
            !is_of_both(p.from) || is_open(p.to, p.port, p.protocol)
        })?;
    }
    Ok(())
}

#[test]
fn policy_sees_the_backend_of_a_service_and_its_port() -> Result<()> {
    const PORT: u16 = 8000;
    const NODE_PORT: u16 = 30_080;
    let town = Town::new()?;
    let (mut services, mut node_ports) = (Vec::new(), Vec::new());
    for (last, name) in [(10, "a"), (11, "b")] {
        let pod = town.pod(&format!("x.{name}"));
        let address = Dual { v4: [10, 96, 0, last].into(), v6: format!("fd00:10:96::{last}").parse()? };
        let node_port = NODE_PORT + u16::from(last);
        let service = ServiceSpec::cluster_ip("x", name, address)
            .port(ServicePort::tcp("tcp", PORT, 81).node_port(node_port))
            .port(ServicePort::udp("udp", PORT, 81).node_port(node_port));
        town.apply(&manifests::service(&service))?;
        let slices = manifests::endpoint_slices(&service, &[Endpoint::new(pod, Condition::Ready)]);
        slices.iter().try_for_each(|slice| town.apply(slice))?;
        let by = [pod.place().to_owned()];
        services.extend(Target::dual(name, address.both().map(|ip| (ip, PORT).into()), &by));
        for node in town.lab.nodes() {
            let name = format!("{name}@{}", node.name());
            node_ports.extend(Target::dual(
                &name,
                node.address().both().map(|ip| (ip, node_port).into()),
                &by,
            ));
        }
    }
    let inside: Vec<_> =
        town.pods.iter().map(Pod::site).chain(town.lab.nodes().iter().map(Node::site)).collect();
    let town = &town;
    let reach = |what: &str, policies: &[PolicySpec], is_open: &dyn Fn(&str, &Target) -> bool| {
        policies.iter().try_for_each(|policy| town.apply(&policy.object()))?;
        town.expect_of(&format!("{what}, by ClusterIP"), &inside, &services, |from, target| {
            let to = target.by[0].as_str();
            from == to || town.pod(to).node().name() == from || is_open(from, target)
        })?;
        let outside = [town.outside.site()];
        town.expect_of(&format!("{what}, by NodePort"), &outside, &node_ports, is_open)?;
        policies.iter().try_for_each(|policy| town.delete(&policy.object()))
    };
    reach("no policy", &[], &|_, _| true)?;
    let y = Rule::all().namespaces(Selector::label("team", "two"));
    let rules = [y.clone().port("TCP", 81), y.clone().port("UDP", 81)];
    let ingress = of_both("from", |p| rules.iter().cloned().fold(p, PolicySpec::ingress));
    reach("the backends' port", &ingress, &|from, _| from.starts_with("y."))?;
    let rules = [y.clone().port("TCP", PORT), y.port("UDP", PORT)];
    let ingress = of_both("from", |p| rules.iter().cloned().fold(p, PolicySpec::ingress));
    reach("the Service's port is nobody's", &ingress, &|_, _| false)?;
    let egress = PolicySpec::new("y", "to").egress(Rule::all().port("TCP", 81).port("UDP", 81));
    reach("egress to the backends' port", &[egress], &|_, _| true)?;
    let egress = PolicySpec::new("y", "to").egress(Rule::all().port("TCP", PORT).port("UDP", PORT));
    reach("egress to the Service's port", &[egress], &|from, _| !from.starts_with("y."))?;
    // From outside by the backend's own node a client is itself, by the other node it is that node.
    let rule = Rule::all().addresses(town.outside.address().both());
    let ingress = of_both("from", |p| p.ingress(rule.clone()));
    reach("the host outside", &ingress, &|from, target| {
        let home = town.pod(&target.by[0]).node().name();
        from == "outside" && target.name.contains(home)
    })
}
