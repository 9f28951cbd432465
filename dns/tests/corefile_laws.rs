//! Laws of reading a Corefile: any text is a configuration or one line of error, and a configuration that is written out is
//! read as itself, here and on the far side of the frames between daemon and child.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panic")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dns::config::{
    Block, ClusterConfig, DnsConfig, Fallthrough, ForwardConfig, PodsMode, Policy, Transport, Upstreams,
};
use dns::corefile::{Defaults, parse, parse_zone};
use dns::resolv_conf::ResolvConf;
use hickory_proto::rr::Name;
use proptest::prelude::*;

/// Words that the parser knows, so that random files reach its depths.
const WORDS: [&str; 64] = [
    "{",
    "}",
    "\n",
    "\n",
    "\n",
    " ",
    " ",
    "\"",
    "\\",
    "\\\n",
    "#",
    ",",
    ".",
    "(x)",
    "(y)",
    "import",
    "x",
    "y",
    "{$A}",
    "{%A%}",
    "{$",
    "{%",
    "%}",
    "{}",
    "\r\n",
    ":53",
    ".:53",
    "dns://",
    "tls://",
    "a.example",
    "10.0.0.0/9",
    "2001:db8::/30",
    "/etc/resolv.conf",
    "192.0.2.1",
    "[::1]:53",
    "30",
    "5s",
    "errors",
    "health",
    "ready",
    "kubernetes",
    "forward",
    "cache",
    "bind",
    "lo",
    "log",
    "lameduck",
    "pods",
    "verified",
    "ttl",
    "fallthrough",
    "namespaces",
    "namespace_labels",
    "except",
    "policy",
    "random",
    "max_concurrent",
    "max_fails",
    "force_tcp",
    "expire",
    "health_check",
    "ignore",
    "empty_service",
    "monitor",
];

fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => any::<String>(),
        4 => Just(" ".to_owned()),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

/// A file that is right but for a word that was put in, taken out or replaced.
fn damaged() -> impl Strategy<Value = String> {
    let word = prop_oneof![prop::sample::select(&WORDS[..]).prop_map(str::to_owned), any::<String>()];
    (config(), any::<prop::sample::Index>(), word, 0..3).prop_map(|(config, place, word, how)| {
        let text = render(&config);
        let mut words: Vec<_> = text.split_inclusive([' ', '\n']).collect();
        let place = place.index(words.len());
        match how {
            0 => words.insert(place, &word),
            1 => drop(words.remove(place)),
            _ => words[place] = &word,
        }
        words.concat()
    })
}

/// Labels of all bytes, in lower case.
fn name(label: &'static str) -> impl Strategy<Value = Name> {
    let odd = prop::collection::vec(any::<u8>().prop_map(|byte| byte.to_ascii_lowercase()), 1..20);
    let label = prop_oneof![
        6 => proptest::string::string_regex(label).unwrap().prop_map(String::into_bytes),
        1 => odd,
    ];
    prop::collection::vec(label, 0..5)
        .prop_map(|labels| Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap())
}

fn plain_name() -> impl Strategy<Value = Name> {
    name("[a-z0-9_*-]{1,20}")
}

fn names() -> impl Strategy<Value = Vec<Name>> {
    prop::collection::vec(plain_name(), 1..4)
}

fn is_reverse(zone: &Name) -> bool {
    ["in-addr.arpa.", "ip6.arpa."].iter().any(|top| parse_zone(top).unwrap().zone_of(zone))
}

fn cluster() -> impl Strategy<Value = ClusterConfig> {
    let reverse = prop::sample::subsequence(vec!["in-addr.arpa", "ip6.arpa", "10.in-addr.arpa"], 0..=3)
        .prop_map(|zones| zones.into_iter().map(|zone| parse_zone(zone).unwrap()).collect::<Vec<_>>());
    let pods = prop::sample::select(vec![PodsMode::Disabled, PodsMode::Insecure, PodsMode::Verified]);
    let fallthrough =
        prop_oneof![Just(Fallthrough::None), Just(Fallthrough::All), names().prop_map(Fallthrough::Zones)];
    let namespaces = prop::option::of(prop::collection::btree_set(
        "[a-z0-9-]{1,10}".prop_map(|name| Arc::<str>::from(name.as_str())),
        1..4,
    ));
    let zones = names().prop_filter("zones of Services", |zones| !zones.iter().any(is_reverse));
    ((zones, reverse, pods, 0..=3600_u32), (fallthrough, any::<[bool; 3]>(), namespaces)).prop_map(
        |((zones, reverse_zones, pods, ttl_secs), (fallthrough, switches, namespaces))| {
            let [has_endpoints, uses_pod_names, ignores_empty_services] = switches;
            ClusterConfig {
                zones,
                reverse_zones,
                pods,
                ttl_secs,
                fallthrough,
                has_endpoints,
                uses_pod_names,
                namespaces,
                ignores_empty_services,
            }
        },
    )
}

fn addr() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), 1..=u16::MAX).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn forward() -> impl Strategy<Value = ForwardConfig> {
    let upstreams = prop_oneof![
        3 => prop::collection::vec(addr(), 1..=ForwardConfig::MAX_UPSTREAMS).prop_map(Upstreams::Addrs),
        1 => "/[a-z/ {}#\"é]{1,20}".prop_map(|path| Upstreams::File(PathBuf::from(path))),
    ];
    let except = prop_oneof![Just(Vec::new()), names()];
    let policy = prop::sample::select(vec![Policy::Random, Policy::RoundRobin, Policy::Sequential]);
    let transport = prop::sample::select(vec![Transport::AsAsked, Transport::PreferUdp, Transport::ForceTcp]);
    (plain_name(), except, upstreams, policy, transport, 1..=u32::MAX, any::<u32>()).prop_map(
        |(from, except, upstreams, policy, transport, max_concurrent, max_fails)| ForwardConfig {
            from,
            except,
            upstreams,
            policy,
            transport,
            max_concurrent,
            max_fails,
        },
    )
}

fn config() -> impl Strategy<Value = DnsConfig> {
    let block = (names(), prop::option::of(cluster()), prop::collection::vec(forward(), 0..3), any::<bool>());
    let lameduck = (0..=86_400_000_000_000_u64).prop_map(Duration::from_nanos);
    let blocks = prop::collection::vec(block, 1..4);
    (blocks, prop::option::of((addr(), lameduck)), prop::option::of(addr())).prop_map(
        |(blocks, health, ready)| {
            let mut claimed = BTreeSet::new();
            let blocks = blocks
                .into_iter()
                .map(|(zones, cluster, forwards, logs_errors)| {
                    let zones = zones.into_iter().filter(|zone| claimed.insert(zone.clone())).collect();
                    Block { zones, cluster, forwards, logs_errors }
                })
                .filter(|block| !block.zones.is_empty())
                .collect();
            let (health, lameduck) = health.unzip();
            DnsConfig { blocks, health, lameduck: lameduck.unwrap_or_default(), ready }
        },
    )
}

/// A name with every byte escaped that is not a letter, a digit, - or _.
fn zone_text(zone: &Name) -> String {
    let mut text = String::new();
    for label in zone {
        for byte in label {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(*byte)),
                _ => write!(text, "\\{byte:03}").unwrap(),
            }
        }
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

fn zone_texts(zones: &[Name]) -> String {
    zones.iter().map(zone_text).collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

fn render(config: &DnsConfig) -> String {
    let mut out = String::new();
    for (index, block) in config.blocks.iter().enumerate() {
        writeln!(out, "{} {{", zone_texts(&block.zones)).unwrap();
        if block.logs_errors {
            out.push_str(" errors\n");
        }
        if let Some(health) = config.health.filter(|_| index == 0) {
            writeln!(out, " health {health} {{\n  lameduck {}ns\n }}", config.lameduck.as_nanos()).unwrap();
        }
        if let Some(ready) = config.ready.filter(|_| index == 0) {
            writeln!(out, " ready {ready}").unwrap();
        }
        if let Some(cluster) = &block.cluster {
            render_cluster(cluster, &mut out);
        }
        for forward in &block.forwards {
            render_forward(forward, &mut out);
        }
        out.push_str("}\n");
    }
    out
}

fn render_cluster(cluster: &ClusterConfig, out: &mut String) {
    let zones = [cluster.zones.as_slice(), &cluster.reverse_zones].concat();
    writeln!(out, " kubernetes {} {{", zone_texts(&zones)).unwrap();
    let pods = match cluster.pods {
        PodsMode::Disabled => "disabled",
        PodsMode::Insecure => "insecure",
        PodsMode::Verified => "verified",
    };
    writeln!(out, "  pods {pods}\n  ttl {}", cluster.ttl_secs).unwrap();
    match &cluster.fallthrough {
        Fallthrough::None => {}
        Fallthrough::All => out.push_str("  fallthrough\n"),
        Fallthrough::Zones(zones) => writeln!(out, "  fallthrough {}", zone_texts(zones)).unwrap(),
    }
    for namespace in cluster.namespaces.iter().flatten() {
        writeln!(out, "  namespaces {namespace}").unwrap();
    }
    for (is_set, option) in [
        (!cluster.has_endpoints, "noendpoints"),
        (cluster.uses_pod_names, "endpoint_pod_names"),
        (cluster.ignores_empty_services, "ignore empty_service"),
    ] {
        if is_set {
            writeln!(out, "  {option}").unwrap();
        }
    }
    out.push_str(" }\n");
}

fn render_forward(forward: &ForwardConfig, out: &mut String) {
    let to = match &forward.upstreams {
        Upstreams::Addrs(addrs) => addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Upstreams::File(path) => quoted(path.to_str().unwrap()),
    };
    writeln!(out, " forward {} {to} {{", zone_text(&forward.from)).unwrap();
    if !forward.except.is_empty() {
        writeln!(out, "  except {}", zone_texts(&forward.except)).unwrap();
    }
    let policy = match forward.policy {
        Policy::Random => "random",
        Policy::RoundRobin => "round_robin",
        Policy::Sequential => "sequential",
    };
    let transport = match forward.transport {
        Transport::AsAsked => "",
        Transport::PreferUdp => "prefer_udp",
        Transport::ForceTcp => "force_tcp",
    };
    writeln!(out, "  policy {policy}\n  {transport}\n  max_concurrent {}", forward.max_concurrent).unwrap();
    writeln!(out, "  max_fails {}\n }}", forward.max_fails).unwrap();
}

fn lines(text: &str) -> usize {
    text.chars().filter(|c| c.is_control()).count() + 1
}

fn check(text: &str) -> Result<(), TestCaseError> {
    match parse(text, &Defaults::new(&|name| (name == "A").then(|| "a {\n\"".to_owned()))) {
        Ok(parsed) => {
            prop_assert!(!parsed.config.blocks.is_empty() && !parsed.listen.is_empty());
            let served: Vec<_> = parsed.config.blocks.iter().flat_map(|block| &block.zones).collect();
            prop_assert_eq!(served.iter().collect::<BTreeSet<_>>().len(), served.len());
            for warning in &parsed.warnings {
                prop_assert_eq!(lines(&warning.to_string()), 1, "{}", warning);
            }
        }
        Err(error) => {
            prop_assert_eq!(lines(&error.to_string()), 1, "{}", &error);
            prop_assert!(usize::try_from(error.line).unwrap() <= text.matches('\n').count() + 1);
            prop_assert!(error.line > 0);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_configuration_or_one_line_of_error(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_words_are_a_configuration_or_one_line_of_error(text in words()) {
        check(&text)?;
    }

    #[test]
    fn any_damage_leaves_a_configuration_or_one_line_of_error(text in damaged()) {
        check(&text)?;
    }

    #[test]
    fn any_text_is_a_zone_in_lower_case_or_an_error(text in "\\PC*|[a-z.\\\\0-9]{0,300}") {
        if let Ok(zone) = parse_zone(&text) {
            prop_assert!(zone.is_fqdn());
            prop_assert!(zone.to_lowercase().eq_case(&zone));
            prop_assert!(parse_zone(&zone_text(&zone)).unwrap().eq_case(&zone));
        }
    }

    #[test]
    fn any_resolv_conf_is_read(text in "([a-z;#.:%0-9 \t\r]|\n|nameserver |\\PC){0,60}") {
        let conf = ResolvConf::parse(&text);
        prop_assert!(conf.nameservers.len() <= ForwardConfig::MAX_UPSTREAMS);
        for warning in &conf.warnings {
            prop_assert_eq!(lines(&warning.to_string()), 1, "{}", warning);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_configuration_that_is_written_out_is_read_as_itself(config in config()) {
        let text = render(&config);
        let parsed = parse(&text, &Defaults::new(&|_| None)).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&parsed.config, &config);
        prop_assert_eq!(parsed.warnings, []);
    }

    #[test]
    fn a_configuration_arrives_in_the_child_as_it_was_sent(config in config()) {
        let bytes = postcard::to_stdvec(&config).unwrap();
        let arrived = postcard::from_bytes::<DnsConfig>(&bytes);
        prop_assert_eq!(arrived.map_err(|error| TestCaseError::fail(error.to_string()))?, config);
    }
}
