//! Corefiles that people have, and what they mean.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, too, fail by panic")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use dns::config::{
    Block, ClusterConfig, DnsConfig, Fallthrough, ForwardConfig, PodsMode, Policy, Transport, Upstreams,
};
use dns::corefile::{CorefileWarningKind, Defaults, ListenHost, Listener, Parsed, parse, parse_zone};
use hickory_proto::rr::Name;

fn read(text: &str) -> Parsed {
    parse(text, &Defaults::new(&|_| None)).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refusal(text: &str) -> String {
    match parse(text, &Defaults::new(&|_| None)) {
        Ok(parsed) => panic!("{text:?} is accepted: {parsed:?}"),
        Err(error) => error.to_string(),
    }
}

fn warnings(text: &str) -> Vec<String> {
    read(text).warnings.iter().map(ToString::to_string).collect()
}

/// The one block of a file.
fn block(text: &str) -> Block {
    let mut config = read(text).config;
    assert_eq!(config.blocks.len(), 1, "{text}");
    config.blocks.remove(0)
}

fn cluster(options: &str) -> ClusterConfig {
    block(&format!("cluster.local {{\n kubernetes {{\n{options}\n}}\n}}")).cluster.unwrap()
}

fn forward(options: &str) -> ForwardConfig {
    let mut forwards = block(&format!(". {{\n forward . 192.0.2.1 {{\n{options}\n}}\n}}")).forwards;
    assert_eq!(forwards.len(), 1);
    forwards.remove(0)
}

fn zone(text: &str) -> Name {
    parse_zone(text).unwrap()
}

fn zones(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| zone(text)).collect()
}

fn addrs(texts: &[&str]) -> Upstreams {
    Upstreams::Addrs(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn any(port: u16) -> Listener {
    Listener { host: ListenHost::Any, port }
}

const KUBEADM: &str = "\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
";

#[test]
fn the_corefile_of_kubeadm_means_what_it_says() {
    let parsed = read(KUBEADM);
    let expected = DnsConfig {
        blocks: vec![Block {
            zones: vec![Name::root()],
            cluster: Some(ClusterConfig {
                zones: zones(&["cluster.local."]),
                reverse_zones: zones(&["in-addr.arpa.", "ip6.arpa."]),
                pods: PodsMode::Insecure,
                ttl_secs: 30,
                fallthrough: Fallthrough::Zones(zones(&["in-addr.arpa.", "ip6.arpa."])),
                has_endpoints: true,
                uses_pod_names: false,
                namespaces: None,
                ignores_empty_services: false,
            }),
            forwards: vec![ForwardConfig::new(Name::root(), Upstreams::File("/etc/resolv.conf".into()))],
            logs_errors: true,
        }],
        health: Some("[::]:8080".parse().unwrap()),
        lameduck: Duration::from_secs(5),
        ready: Some("[::]:8181".parse().unwrap()),
    };
    assert_eq!(parsed.config, expected);
    assert_eq!(parsed.listen, [any(53)]);
    assert_eq!(
        warnings(KUBEADM),
        [
            "Corefile:12: \"prometheus\" is a plugin that is not supported; it is skipped",
            "Corefile:16: \"cache\" is accepted; nothing is cached yet",
            "Corefile:20: \"loop\" is a plugin that is not supported; it is skipped",
            "Corefile:21: \"reload\" is a plugin that is not supported; it is skipped",
            "Corefile:22: \"loadbalance\" is a plugin that is not supported; it is skipped",
        ]
    );
}

#[test]
fn stub_domains_are_blocks_or_forwards_of_their_own() {
    let text = ".:53 {
    errors
    kubernetes cluster.local
    forward corp_a.example 192.0.2.53 192.0.2.54:5353 {
        policy sequential
        force_tcp
    }
    forward . dns://198.51.100.1 [2001:db8::1]:5300 2001:db8::2 [2001:db8::3] {
        except Internal.Example. 192.0.2.0/24
    }
}
Stub.Example:53 {
    forward . 203.0.113.1
}
";
    let parsed = read(text);
    assert_eq!(parsed.warnings, []);
    assert_eq!(parsed.listen, [any(53)]);
    let main = Block {
        zones: vec![Name::root()],
        cluster: Some(ClusterConfig { zones: zones(&["cluster.local"]), ..ClusterConfig::default() }),
        forwards: vec![
            ForwardConfig {
                policy: Policy::Sequential,
                transport: Transport::ForceTcp,
                ..ForwardConfig::new(zone("corp_a.example"), addrs(&["192.0.2.53:53", "192.0.2.54:5353"]))
            },
            ForwardConfig {
                except: zones(&["internal.example", "2.0.192.in-addr.arpa"]),
                ..ForwardConfig::new(
                    Name::root(),
                    addrs(&["198.51.100.1:53", "[2001:db8::1]:5300", "[2001:db8::2]:53", "[2001:db8::3]:53"]),
                )
            },
        ],
        logs_errors: true,
    };
    let stub = Block {
        zones: zones(&["stub.example"]),
        forwards: vec![ForwardConfig::new(Name::root(), addrs(&["203.0.113.1:53"]))],
        ..Block::default()
    };
    assert_eq!(parsed.config.blocks, [main, stub]);
    assert!(parsed.config.blocks[1].zones[0].eq_case(&zone("stub.example")), "lower case");
    assert_eq!((parsed.config.health, parsed.config.ready), (None, None));
    assert_eq!(parsed.config.lameduck, Duration::ZERO);
}

#[test]
fn the_corefile_of_nodelocal_dnscache_means_what_it_says() {
    let block = |zone: &str, options: &str, to: &str, more: &str| {
        format!(
            "{zone}:53 {{
    errors
    cache {{
        success 9984 30
        denial 9984 5
    }}
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . {to} {{{options}}}
    prometheus :9253
    {more}
    }}
"
        )
    };
    let tcp = "\n        force_tcp\n    ";
    let text = [
        block("cluster.local", tcp, "10.96.0.11", "health 169.254.20.10:8080"),
        block("in-addr.arpa", tcp, "10.96.0.11", ""),
        block("ip6.arpa", tcp, "10.96.0.11", ""),
        block(".", "", "/etc/resolv.conf", ""),
    ]
    .concat();
    let parsed = read(&text);
    let served = |name: &str| Block {
        zones: zones(&[name]),
        cluster: None,
        forwards: vec![ForwardConfig {
            transport: Transport::ForceTcp,
            ..ForwardConfig::new(Name::root(), addrs(&["10.96.0.11:53"]))
        }],
        logs_errors: true,
    };
    let rest = Block {
        forwards: vec![ForwardConfig::new(Name::root(), Upstreams::File("/etc/resolv.conf".into()))],
        ..served(".")
    };
    let expected = DnsConfig {
        blocks: vec![served("cluster.local"), served("in-addr.arpa"), served("ip6.arpa"), rest],
        health: Some("169.254.20.10:8080".parse().unwrap()),
        lameduck: Duration::ZERO,
        ready: None,
    };
    assert_eq!(parsed.config, expected);
    let bound = |text: &str| Listener { host: ListenHost::Addr(text.parse().unwrap()), port: 53 };
    assert_eq!(parsed.listen, [bound("10.96.0.10"), bound("169.254.20.10")]);
    let named: Vec<_> = parsed.warnings.iter().map(|warning| (warning.line, &*warning.word)).collect();
    assert_eq!(named, [(3, "cache"), (7, "reload"), (8, "loop"), (13, "prometheus")]);
}

#[test]
fn every_option_of_kubernetes_is_read() {
    assert_eq!(cluster(""), ClusterConfig { zones: zones(&["cluster.local"]), ..ClusterConfig::default() });
    assert_eq!(cluster("pods disabled").pods, PodsMode::Disabled);
    assert_eq!(cluster("pods insecure").pods, PodsMode::Insecure);
    assert_eq!(cluster("pods verified").pods, PodsMode::Verified);
    assert_eq!(cluster("ttl 0").ttl_secs, 0);
    assert_eq!(cluster("ttl 3600").ttl_secs, 3600);
    assert_eq!(cluster("fallthrough").fallthrough, Fallthrough::All);
    assert_eq!(
        cluster("fallthrough 10.0.0.0/8 A.Example").fallthrough,
        Fallthrough::Zones(zones(&["10.in-addr.arpa", "a.example"]))
    );
    assert!(!cluster("noendpoints").has_endpoints);
    assert!(cluster("endpoint_pod_names").uses_pod_names);
    assert!(cluster("ignore empty_service").ignores_empty_services);
    let namespaces: BTreeSet<_> = ["a", "b", "c"].map(Into::into).into();
    assert_eq!(cluster("namespaces a b\nnamespaces c a").namespaces, Some(namespaces));
}

#[test]
fn kubernetes_without_zones_serves_those_of_its_block() {
    let block = block("10.96.0.0/15 cluster.local, fd00::/7 a.example {\n kubernetes\n}");
    let cluster = block.cluster.unwrap();
    assert_eq!(cluster.zones, zones(&["cluster.local", "a.example"]));
    let reverse = ["96.10.in-addr.arpa", "97.10.in-addr.arpa", "c.f.ip6.arpa", "d.f.ip6.arpa"];
    assert_eq!(cluster.reverse_zones, zones(&reverse));
    assert_eq!(block.zones.len(), 6);
}

#[test]
fn every_option_of_forward_is_read() {
    assert_eq!(forward(""), ForwardConfig::new(Name::root(), addrs(&["192.0.2.1:53"])));
    assert_eq!(forward("except a.example\nexcept b.example").except, zones(&["a.example", "b.example"]));
    assert_eq!(forward("prefer_udp").transport, Transport::PreferUdp);
    assert_eq!(forward("force_tcp").transport, Transport::ForceTcp);
    assert_eq!(forward("force_tcp\nprefer_udp").transport, Transport::ForceTcp);
    assert_eq!(forward("prefer_udp\nforce_tcp").transport, Transport::ForceTcp);
    assert_eq!(forward("policy random").policy, Policy::Random);
    assert_eq!(forward("policy round_robin").policy, Policy::RoundRobin);
    assert_eq!(forward("policy sequential").policy, Policy::Sequential);
    assert_eq!(forward("max_concurrent 7").max_concurrent, 7);
    assert_eq!(forward("max_fails 0").max_fails, 0);
    let fifteen = (1..=15).map(|n| format!(" 192.0.2.{n}")).collect::<String>();
    let expected = (1..=15).map(|n| SocketAddr::from(([192, 0, 2, n], 53))).collect();
    assert_eq!(block(&format!(".\nforward .{fifteen}")).forwards[0].upstreams, Upstreams::Addrs(expected));
}

#[test]
fn a_network_is_forwarded_by_each_of_its_reverse_zones() {
    let forwards = block(".\nforward 192.0.2.0/23 192.0.2.1 {\n max_fails 3\n}").forwards;
    let forward = |from: &str| ForwardConfig {
        max_fails: 3,
        ..ForwardConfig::new(zone(from), addrs(&["192.0.2.1:53"]))
    };
    assert_eq!(forwards, [forward("2.0.192.in-addr.arpa"), forward("3.0.192.in-addr.arpa")]);
}

#[test]
fn health_and_ready_say_where_they_answer() {
    let probes = |text: &str| {
        let config = read(&format!(".\n{text}")).config;
        let text = |addr: Option<SocketAddr>| addr.map(|addr| addr.to_string()).unwrap_or_default();
        (text(config.health), config.lameduck.as_millis(), text(config.ready))
    };
    let expected = |health: &str, lameduck, ready: &str| (health.to_owned(), lameduck, ready.to_owned());
    assert_eq!(probes("errors"), expected("", 0, ""));
    assert_eq!(probes("errors stdout"), expected("", 0, ""));
    assert_eq!(probes("health\nready"), expected("[::]:8080", 0, "[::]:8181"));
    assert_eq!(probes("health :1 {\nlameduck 1m0.5s\n}\nready :2"), expected("[::]:1", 60_500, "[::]:2"));
    assert_eq!(probes("health [::1]:1\nready 127.0.0.1:2"), expected("[::1]:1", 0, "127.0.0.1:2"));
    assert_eq!(probes("health localhost:1"), expected("127.0.0.1:1", 0, ""));
    let defaults = Defaults { port: 1053, any: "0.0.0.0".parse().unwrap(), env: &|_| None };
    let parsed = parse(".\nhealth\nready :9", &defaults).unwrap();
    assert_eq!(parsed.config.health, Some("0.0.0.0:8080".parse().unwrap()));
    assert_eq!(parsed.config.ready, Some("0.0.0.0:9".parse().unwrap()));
    assert_eq!(parsed.listen, [any(1053)]);
}

#[test]
fn blocks_listen_on_their_ports_and_what_they_bind() {
    let text = "a.example:1053 dns://b.example {\n bind lo 192.0.2.1\n bind 2001:db8::1\n}\nc.example:5300\n";
    let parsed = read(text);
    let places: Vec<_> = parsed.listen.iter().map(ToString::to_string).collect();
    assert_eq!(
        places,
        [
            "*:5300",
            "192.0.2.1:53",
            "192.0.2.1:1053",
            "[2001:db8::1]:53",
            "[2001:db8::1]:1053",
            "lo:53",
            "lo:1053"
        ]
    );
    assert_eq!(
        warnings(text),
        ["Corefile:5: \"c.example:5300\" has other ports or addresses than the first block; \
          every block is served on all of them"]
    );
}

#[test]
fn a_zone_that_is_bound_to_two_addresses_is_served_by_the_first_block() {
    for (one, other) in
        [("192.0.2.1", "192.0.2.2"), ("0.0.0.0", "::1"), ("::", "192.0.2.1"), ("lo", "eth0"), ("lo", "::1")]
    {
        let text = format!(".:1053 {{\n bind {one}\n errors\n}}\n.:1053 {{\n bind {other}\n}}");
        let parsed = read(&text);
        assert_eq!(parsed.config.blocks.len(), 1, "{text}");
        assert!(parsed.config.blocks[0].logs_errors);
        assert_eq!(parsed.listen.len(), 1, "{text}");
        assert_eq!(parsed.warnings.len(), 1, "{text}");
        assert_eq!(
            (parsed.warnings[0].line, parsed.warnings[0].kind),
            (5, CorefileWarningKind::ZoneElsewhere)
        );
    }
}

#[test]
fn warnings_come_by_line() {
    let text = ". {\n log\n import x.conf\n loop\n bind 192.0.2.1 {\n  except lo\n }\n reload {$NOTHING}\n}\ntls://a\n";
    let lines: Vec<_> = read(text).warnings.iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [2, 3, 4, 6, 8, 8, 10]);
}

#[test]
fn what_looks_like_a_path_is_a_file_to_import() {
    for path in ["a.conf", "/etc/a", "a/b", "*", "a?", "a[0-9]", "..", "a*"] {
        assert_eq!(
            warnings(&format!(".\nimport {path}")),
            [format!("Corefile:2: {path:?} is a file; files are not imported")]
        );
    }
}

#[test]
fn the_same_file_may_be_written_in_many_ways() {
    let plain = "a.example b.example {\n errors\n forward . 192.0.2.1 {\n  max_fails 1\n }\n}\n";
    let expected = read(plain);
    assert_eq!(expected.warnings, []);
    for text in [
        plain.replace('\n', "\r\n"),
        format!("\u{feff}{plain}"),
        plain.replace("a.example b", "a.example, b"),
        plain.replace("a.example b", "a.example,\nb"),
        plain.replace("a.example b", "a.example,b"),
        plain.replace("a.example b", "A.EXAMPLE. dns://b"),
        plain.replace("a.example b", "a.example \\\n b"),
        plain.replace("a.example b", "a.example\\\r\n b"),
        plain.replace(" {\n", "{\n"),
        plain.replace(" {\n", "\n{\n"),
        plain.replace(" {\n", " { "),
        plain.replace("\n }\n}", " } }"),
        plain.replace('\n', " # { } \" \\\n"),
        plain.replace('\n', "\n\n\t\n"),
        plain.replace("errors", "\"errors\""),
        plain.replace(". 192.0.2.1", "\".\" \"192.0.2.1\""),
        "a.example b.example\nerrors\nforward . 192.0.2.1 {\nmax_fails 1\n}".to_owned(),
        format!("(x) {{\n errors\n}}\n{}", plain.replace("errors", "import x")),
        format!("{}(x) {{ errors }}\n", plain.replace("errors", "import x")),
        format!("(x) {{\n max_fails 1\n}}\n{}", plain.replace("max_fails 1", "import x")),
        format!("(x) {{\n import y\n}}\n(y) {{ errors }}\n{}", plain.replace("errors", "import x")),
        format!("(x) {{\n{plain}}}\nimport x"),
        "(x) { errors }\na.example b.example {\n forward . 192.0.2.1 {\n max_fails 1\n }\n import x\n}"
            .to_owned(),
        format!("(unused) {{\n nonsense.1 {{ }}\n}}\n{plain}"),
    ] {
        assert_eq!(read(&text), expected, "{text}");
    }
}

#[test]
fn the_environment_is_looked_up_in_every_word() {
    let env = |name: &str| match name {
        "ZONE" => Some("a.example".to_owned()),
        "OPTION" => Some("max_fails".to_owned()),
        "TWO WORDS" => Some("192.0.2.1 192.0.2.2".to_owned()),
        "NESTED" => Some("{$ZONE}".to_owned()),
        _ => None,
    };
    let read = |text: &str| parse(text, &Defaults::new(&env));
    let parsed =
        read("b.{$ZONE}:1053 {\n forward {%ZONE%} 192.0.2.{$NOTHING}1 {\n {$OPTION} 4\n }\n}").unwrap();
    let block = &parsed.config.blocks[0];
    assert_eq!(block.zones, zones(&["b.a.example"]));
    let forward =
        ForwardConfig { max_fails: 4, ..ForwardConfig::new(zone("a.example"), addrs(&["192.0.2.1:53"])) };
    assert_eq!(block.forwards, [forward]);
    let named: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["Corefile:2: \"NOTHING\" is not set in the environment; it stands for nothing"]);
    // A value is one word and is not looked through again.
    for text in ["a.example\nforward . \"{$TWO WORDS}\"", "{$NESTED}", "{$}", "{$ZONE", "{%ZONE}"] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn quotes_hold_spaces_braces_and_escaped_quotes() {
    // Skipped plugins, whose arguments must not end their blocks.
    let text = ". {
 template IN A {
  answer \"{{ .Name }} 60 IN A \\\"x\\\" }\"
  match \"}\" \"{\" \"# no comment
   second line\"
 }
 log . \"{remote} {type}\" {
  class { denial }
 }
 rewrite name regex (.*)\\.x {1}.y
 errors
}
";
    assert!(block(text).logs_errors);
    let named: Vec<_> = read(text).warnings.iter().map(|warning| warning.line).collect();
    assert_eq!(named, [2, 7, 10]);
}

#[test]
fn what_is_not_honoured_is_named_once() {
    let kubernetes = |options: &str| warnings(&format!("a.example\nkubernetes {{\n{options}\n}}"));
    for option in [
        "endpoint https://192.0.2.1",
        "tls a b c",
        "kubeconfig file context",
        "startup_timeout 5s",
        "apiserver_qps 1",
        "apiserver_burst 1",
        "apiserver_max_inflight 1",
    ] {
        let name = option.split(' ').next().unwrap();
        let expected =
            format!("Corefile:3: {name:?} is not used: the daemon has its own connection to the API server");
        assert_eq!(kubernetes(&format!("{option}\n{option}")), [expected]);
    }
    for option in ["labels a in (b, c),d=e", "namespace_labels a=b", "multicluster clusterset.local"] {
        let name = option.split(' ').next().unwrap();
        let expected = format!("Corefile:3: {name:?} is not supported yet; it is skipped");
        assert_eq!(kubernetes(option), [expected]);
    }
    for option in [
        "expire 10s",
        "health_check 1s no_rec domain a.example",
        "tls",
        "tls cert key ca",
        "tls_servername a.example",
        "next NXDOMAIN SERVFAIL",
        "next_on_nodata",
        "failfast_all_unhealthy_upstreams",
        "failover SERVFAIL",
        "max_idle_conns 1",
        "max_connect_attempts 1",
        "doh_method GET",
        "resolver 192.0.2.1",
    ] {
        let name = option.split(' ').next().unwrap();
        let text =
            format!(". {{\nforward . 192.0.2.1 {{\n{option}\n}}\nforward a 192.0.2.1 {{\n{option}\n}}\n}}");
        assert_eq!(warnings(&text), [format!("Corefile:3: {name:?} is not used")]);
    }
    let limit = "Corefile:3: \"max_concurrent\" would be no limit; the default is in force";
    assert_eq!(warnings(".\nforward . 192.0.2.1 {\nmax_concurrent 0\n}"), [limit]);
    assert_eq!(forward("max_concurrent 0").max_concurrent, ForwardConfig::MAX_CONCURRENT);
    for (text, expected) in [
        ("errors {\nconsolidate 5m \".*\"\nstacktrace\n}", "\"errors\" has options; they are not used"),
        ("ready {\nmonitor continuously\n}", "\"monitor\" is not used"),
        ("bind lo {\nexcept 127.0.0.1\n}", "\"except\" is not supported yet; it is skipped"),
        ("import ../custom/*.override", "\"../custom/*.override\" is a file; files are not imported"),
        ("cache 30 a.example {\nprefetch 1\n}", "\"cache\" is accepted; nothing is cached yet"),
        (
            "fanout . 192.0.2.1 {\na {\nb\n}\n}\nfanout",
            "\"fanout\" is a plugin that is not supported; it is skipped",
        ),
        (
            "health :1\nhealth :2",
            "\"health\" differs from an earlier health; the first one is in force for the whole server",
        ),
    ] {
        let found = warnings(&format!(".\n{text}"));
        let [found] = found.as_slice() else { panic!("{text}: {found:?}") };
        assert_eq!(found.split_once(' ').unwrap().1, expected, "{text}");
    }
}

#[test]
fn health_and_ready_are_those_of_the_first_block_that_has_them() {
    let parsed = read(
        "a.example {\nhealth\nready\n}\nb.example {\nhealth {\nlameduck 1s\n}\nready :1\n}\nc.example {\nhealth\nready\n}",
    );
    assert_eq!(parsed.config.health, Some("[::]:8080".parse().unwrap()));
    assert_eq!(parsed.config.lameduck, Duration::ZERO);
    assert_eq!(parsed.config.ready, Some("[::]:8181".parse().unwrap()));
    let named: Vec<_> = parsed.warnings.iter().map(|warning| (warning.line, &*warning.word)).collect();
    assert_eq!(named, [(6, "health"), (9, "ready")]);
}

#[test]
fn zones_over_tls_and_zones_served_elsewhere_are_left_out() {
    let text = ". {\n forward . 192.0.2.1\n}\ntls://. https://a.example:443 {\n tls cert key\n health\n}\n\
                .:5301 b.example {\n forward . 192.0.2.2\n}\ngrpc://c.example d.example {\n errors\n}";
    let parsed = read(text);
    let served: Vec<_> = parsed.config.blocks.iter().map(|block| block.zones.clone()).collect();
    assert_eq!(served, [vec![Name::root()], zones(&["b.example"]), zones(&["d.example"])]);
    assert_eq!(parsed.listen, [any(53)]);
    assert_eq!(parsed.config.health, None);
    assert_eq!(
        warnings(text),
        [
            "Corefile:4: \"tls://.\" is left out: only plain DNS is served",
            "Corefile:4: \"https://a.example:443\" is left out: only plain DNS is served",
            "Corefile:8: \".:5301\" is left out: an earlier block serves this zone in another place, \
             and every block is served everywhere",
            "Corefile:11: \"grpc://c.example\" is left out: only plain DNS is served",
        ]
    );
}

#[test]
fn a_mistake_is_named_with_its_line_its_word_and_what_was_expected() {
    let long = "a".repeat(64);
    let long_name = vec!["a".repeat(63); 4].join(".");
    let sixteen = (1..=16).map(|n| format!(" 192.0.2.{n}")).collect::<String>();
    let deep = "x {\n".repeat(17);
    let table = [
        // The file.
        ("", "1: nothing is served: expected a server block"),
        ("# nothing", "1: nothing is served"),
        ("# a\ntls://. {\n}\nhttps://a", "2: \"tls://.\" is not served: expected a zone for plain DNS"),
        (". {\nerrors", "1: \".\" opens a block that does not end: expected }"),
        (".\nlog {", "2: \"log\" opens a block that does not end: expected }"),
        (". {\n}\n}", "3: \"}\" closes no block: expected"),
        (".\nerrors\n}", "3: \"}\" closes no block: expected"),
        (". }", "1: \"}\" closes no block: expected"),
        ("{\n}", "1: \"{\" opens a block without a name: expected a word before it"),
        (". {\n{\n}\n}", "2: \"{\" opens a block without a name"),
        ("a.example, {\n}", "1: \"a.example,\" is followed by a comma: expected one more zone"),
        ("a.example,", "1: \"a.example,\" is followed by a comma"),
        (".\nlog \"a\nb", "2: \"a\" starts a quoted word that does not end: expected \""),
        (deep.as_str(), "17: \"x\" opens too many blocks in each other: expected at most 16"),
        (".\nlog { class } all", "2: \"all\" is one word too many: expected the end of the line"),
        // Plugins.
        (
            ". {\n\n\nerrors\n\n\nforwrd . 192.0.2.1\n}",
            "7: \"forwrd\" is not a plugin: expected \"forward\"?",
        ),
        ("a.example\nb.example {\n}", "2: \"b.example\" is not the name of a plugin: expected"),
        (
            "a\nkubernetes\nerrors\nkubernetes",
            "4: \"kubernetes\" is in this block already, on line 2: expected it once",
        ),
        ("a\ncache\ncache 5", "3: \"cache\" is in this block already, on line 2"),
        ("a\nready\nready", "3: \"ready\" is in this block already, on line 2"),
        ("a\nerrors\nerrors", "3: \"errors\" is in this block already, on line 2"),
        // Zones.
        ("a..b", "1: \"a..b\" is not a zone: expected a label between two dots"),
        ("\\256", "1: \"\\\\256\" is not a zone: expected one character, or three digits"),
        (
            "bücher",
            "1: \"bücher\" is not a zone: expected letters, digits, - and _ (other scripts are written as xn--…), found 'ü'",
        ),
        (
            &long,
            "1: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" is not a zone: expected labels of at most 63 bytes, found one of 64",
        ),
        (&long_name, "…: expected a name of at most 255 bytes on the wire, found 257"),
        (":53", "1: \":53\" is not a zone: expected a name, or . for the root"),
        (".:", "1: \".:\" is not a zone: expected a port from 1 to 65535"),
        (".:0", "1: \".:0\" is not a zone: expected a port"),
        (".:65536", "1: \".:65536\" is not a zone: expected a port"),
        ("a:dns", "1: \"a:dns\" is not a zone: expected letters"),
        ("ftp://a", "1: \"ftp://a\" is not a zone: expected letters"),
        (
            "10.0.0.0/33",
            "1: \"10.0.0.0/33\" is not a zone: expected a network with a mask of at most 32 (IPv4) or 128 (IPv6)",
        ),
        (
            "a.example {\n}\nb.example A.example. {\n}",
            "3: \"A.example.\" is served already, by line 1: expected each zone and port once",
        ),
        ("a.example a.example:53", "1: \"a.example:53\" is served already, by line 1"),
        ("10.0.0.0/15 1.10.in-addr.arpa", "1: \"1.10.in-addr.arpa\" is served already"),
        (". {\nbind 192.0.2.1\n}\n. {\n}", "4: \".\" is served already, by line 1"),
        (". {\nbind 0.0.0.0\n}\n. {\nbind 192.0.2.1\n}", "4: \".\" is served already, by line 1"),
        (". {\nbind lo\n}\n. {\nbind 192.0.2.1 lo\n}", "4: \".\" is served already, by line 1"),
        // bind.
        (".\nbind", "2: \"bind\" lacks an argument: expected addresses or names of interfaces"),
        (
            ".\nbind 192.0.2.300",
            "2: \"192.0.2.300\" is not valid: expected an address or the name of an interface",
        ),
        (".\nbind 192.0.2.1:53", "2: \"192.0.2.1:53\" is not valid"),
        (".\nbind interface-too-long", "2: \"interface-too-long\" is not valid"),
        (".\nbind fe80::1%eth0", "2: \"fe80::1%eth0\" names an interface: expected an address without %"),
        (".\nbind lo {\nexcpt lo\n}", "3: \"excpt\" is not an option here: expected except"),
        // kubernetes.
        (
            "10.0.0.0/8\nkubernetes",
            "2: \"kubernetes\" has reverse zones only: expected a zone for the names of Services",
        ),
        ("a\nkubernetes b..c", "2: \"b..c\" is not a zone"),
        (
            "a\nkubernetes {\npods\n}",
            "3: \"pods\" lacks an argument: expected disabled, insecure or verified",
        ),
        ("a\nkubernetes {\npods all\n}", "3: \"all\" is not valid: expected disabled, insecure or verified"),
        ("a\nkubernetes {\npods verified now\n}", "3: \"now\" is one word too many"),
        ("a\nkubernetes {\nttl\n}", "3: \"ttl\" lacks an argument: expected seconds from 0 to 3600"),
        ("a\nkubernetes {\nttl 3601\n}", "3: \"3601\" is not valid: expected seconds from 0 to 3600"),
        ("a\nkubernetes {\nttl -1\n}", "3: \"-1\" is not valid"),
        ("a\nkubernetes {\nttl 5s\n}", "3: \"5s\" is not valid"),
        ("a\nkubernetes {\nttl 4294967296\n}", "3: \"4294967296\" is not valid"),
        ("a\nkubernetes {\nfallthrough a..b\n}", "3: \"a..b\" is not a zone"),
        ("a\nkubernetes {\nnoendpoints now\n}", "3: \"now\" is one word too many"),
        ("a\nkubernetes {\nendpoint_pod_names now\n}", "3: \"now\" is one word too many"),
        (
            "a\nkubernetes {\nnamespaces\n}",
            "3: \"namespaces\" lacks an argument: expected names of namespaces",
        ),
        (
            "a\nkubernetes {\nnamespaces a\nnamespace_labels b\n}",
            "4: \"namespace_labels\" excludes namespaces: expected one of namespaces and namespace_labels",
        ),
        (
            "a\nkubernetes {\nnamespace_labels b\nnamespaces a\n}",
            "3: \"namespace_labels\" excludes namespaces",
        ),
        ("a\nkubernetes {\nignore\n}", "3: \"ignore\" lacks an argument: expected empty_service"),
        ("a\nkubernetes {\nignore all\n}", "3: \"all\" is not valid: expected empty_service"),
        ("a\nkubernetes {\nlabels\n}", "3: \"labels\" lacks an argument"),
        ("a\nkubernetes {\nendpoint\n}", "3: \"endpoint\" lacks an argument"),
        ("a\nkubernetes {\npod verified\n}", "3: \"pod\" is not an option here: expected pods, ttl, "),
        ("a\nkubernetes {\nttl 5 {\n}\n}", "3: \"ttl\" has a block: expected none"),
        // forward.
        (".\nforward", "2: \"forward\" lacks an argument: expected a zone and upstreams"),
        (".\nforward .", "2: \"forward\" lacks an argument: expected a zone and upstreams"),
        (".\nforward a..b 192.0.2.1", "2: \"a..b\" is not a zone"),
        (".\nforward . 192.0.2.300", "2: \"192.0.2.300\" is not valid: expected an address, address:port, "),
        (".\nforward . 192.0.2.1:0", "2: \"192.0.2.1:0\" is not valid"),
        (".\nforward . 192.0.2.1:65536", "2: \"192.0.2.1:65536\" is not valid"),
        (".\nforward . [192.0.2.1:53", "2: \"[192.0.2.1:53\" is not valid"),
        (".\nforward . ns.example", "2: \"ns.example\" is not valid"),
        (".\nforward . ./resolv.conf", "2: \"./resolv.conf\" is not valid"),
        (".\nforward . fe80::1%eth0", "2: \"fe80::1%eth0\" names an interface"),
        (".\nforward . [fe80::1%eth0]:53", "2: \"[fe80::1%eth0]:53\" names an interface"),
        (
            ".\nforward . tls://192.0.2.1",
            "2: \"tls://192.0.2.1\" is not supported: expected plain DNS, an address without tls://",
        ),
        (".\nforward . https://192.0.2.1", "2: \"https://192.0.2.1\" is not supported"),
        (
            ".\nforward . 192.0.2.1 /etc/resolv.conf",
            "2: \"/etc/resolv.conf\" stands beside other upstreams: expected either",
        ),
        (
            &format!(".\nforward .{sixteen}"),
            "2: \"192.0.2.16\" is one upstream too many: expected at most 15",
        ),
        (".\nforward . 192.0.2.1 {\nexcept\n}", "3: \"except\" lacks an argument: expected zones"),
        (
            ".\nforward . 192.0.2.1 {\npolicy first\n}",
            "3: \"first\" is not valid: expected random, round_robin or sequential",
        ),
        (".\nforward . 192.0.2.1 {\nforce_tcp yes\n}", "3: \"yes\" is one word too many"),
        (".\nforward . 192.0.2.1 {\nprefer_udp yes\n}", "3: \"yes\" is one word too many"),
        (
            ".\nforward . 192.0.2.1 {\nmax_concurrent -1\n}",
            "3: \"-1\" is not valid: expected a number from 0",
        ),
        (
            ".\nforward . 192.0.2.1 {\nmax_fails\n}",
            "3: \"max_fails\" lacks an argument: expected a number from 0",
        ),
        (".\nforward . 192.0.2.1 {\nexpire soon\n}", "3: \"soon\" is not valid: expected a duration such as"),
        (".\nforward . 192.0.2.1 {\nhealth_check 1\n}", "3: \"1\" is not valid: expected a duration such as"),
        (".\nforward . 192.0.2.1 {\nnext\n}", "3: \"next\" lacks an argument"),
        (".\nforward . 192.0.2.1 {\ntls a b c d\n}", "3: \"d\" is one word too many"),
        (
            ".\nforward . 192.0.2.1 {\nforce_udp\n}",
            "3: \"force_udp\" is not an option here: expected except, force_tcp, ",
        ),
        // health, ready, errors.
        (".\nhealth 8080", "2: \"8080\" is not valid: expected an address and a port, such as :8080"),
        (".\nhealth :0", "2: \":0\" is not valid"),
        (".\nhealth a.example:80", "2: \"a.example:80\" is not valid"),
        (".\nhealth [fe80::1%2]:80", "2: \"[fe80::1%2]:80\" is not valid"),
        (".\nhealth :1 :2", "2: \":2\" is one word too many"),
        (".\nhealth {\nlameduck\n}", "3: \"lameduck\" lacks an argument: expected a duration such as 5s"),
        (".\nhealth {\nlameduck -5s\n}", "3: \"-5s\" is not valid: expected a duration such as 5s"),
        (".\nhealth {\nlameduk 5s\n}", "3: \"lameduk\" is not an option here: expected lameduck"),
        (".\nready 8181", "2: \"8181\" is not valid"),
        (".\nready {\nmonitor always\n}", "3: \"always\" is not valid: expected until-ready or continuously"),
        (".\nready {\nmonitr always\n}", "3: \"monitr\" is not an option here: expected monitor"),
        (".\nerrors stderr", "2: \"stderr\" is not valid: expected stdout or nothing"),
        // Snippets.
        (".\nimport", "2: \"import\" lacks an argument: expected the name of a snippet"),
        (".\nimport\nx", "2: \"import\" lacks an argument"),
        (
            ".\nimport x",
            "2: \"x\" is not a snippet of this file: expected one that stands here as \"(name) { … }\"",
        ),
        ("(x) {\nerrors\n}\n.\nimport x y", "5: \"y\" is one word too many"),
        ("(x) {\nerrors\n}\n.\nimport x {\n}", "5: \"x\" has a block: expected none"),
        ("(x) {\nerrors\n}\n(x) {\n}\n.\nimport x", "4: \"(x)\" is a snippet already, from line 1"),
        ("(x) {\nerrors", "1: \"(x)\" opens a block that does not end"),
        ("(x) {\nimport x\n}\n.\nimport x", "2: \"x\" imports itself: expected a snippet that ends"),
        ("(x) {\nimport y\n}\n(y) {\nimport x\n}\n.\nimport x", "5: \"x\" imports itself"),
        ("(x) {\nforwrd\n}\n.\nerrors\nimport x", "2: \"forwrd\" is not a plugin"),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in table {
        let found = refusal(text);
        let found = found.strip_prefix("Corefile:").unwrap();
        let is_right = match expected.strip_prefix('…') {
            Some(end) => found.ends_with(end),
            None => found.starts_with(expected),
        };
        if !is_right {
            wrong.push(format!("{text:?}\n   found {found}\nexpected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn snippets_that_double_in_each_other_end_in_an_error() {
    let double = |next: usize| format!("(s{}) {{\nimport s{next}\nimport s{next}\n}}\n", next - 1);
    let text: String = (1..40).map(double).collect();
    let found = refusal(&format!("{text}(s39) {{\nlog\n}}\n.\nimport s0"));
    assert!(found.contains("is one import too many: expected at most 1000"), "{found}");
    let body = "log\n".repeat(1_000);
    let found = refusal(&format!("(x) {{\n{body}}}\n.\n{}", "import x\n".repeat(101)));
    assert!(
        found.contains(
            "\"log\" is imported and makes the file too big: expected at most 100000 words by import"
        ),
        "{found}"
    );
}

#[test]
fn a_long_word_is_cut_in_a_message() {
    let found = refusal(&format!("{}:x", "a".repeat(1_000_000)));
    assert!(found.len() < 250, "{}", found.len());
    assert!(found.contains("aaa\"… is not a zone"), "{found}");
}
