//! The kinds of resolvers that pods have, against a DNS server of the lab. Needs root, musl-gcc and dig.

use std::time::{Duration, Instant};

use lab::{Lab, LabSpec, Output, Pod, PodSpec, QueryCount, UpstreamMode};

const NAME: &str = "www.example.org";
const V4: &str = "192.0.2.1";
const V6: &str = "2001:db8::1";

/// A lab with the server outside and a client on each node whose resolv.conf names it, once in each family.
fn world() -> (Lab, lab::Upstream, [Pod; 2]) {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let outside = lab.outside().unwrap();
    let upstream = outside.upstream().unwrap();
    let client = |node: &str, server| {
        let spec = PodSpec::idle("default", &format!("client-{node}")).nameservers(&[server]);
        lab.node(node).unwrap().add_pod(spec).unwrap()
    };
    let address = outside.address();
    let clients = [client("node-1", address.v4.into()), client("node-2", address.v6.into())];
    (lab, upstream, clients)
}

/// The first words of the lines, each once, sorted.
fn words(output: &Output) -> Vec<&str> {
    let mut words: Vec<_> = output.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[test]
fn glibc_musl_and_dig_resolve_a_name_and_its_alias() {
    let (_lab, upstream, clients) = world();
    for pod in &clients {
        for name in [NAME, "alias.example.org"] {
            let run = |command: &[&str]| pod.command(command).unwrap();
            let both = run(&["getent", "ahosts", name]);
            assert_eq!(words(&both), [V4, V6], "{both:?}");
            assert_eq!(words(&run(&["getent", "ahostsv4", name])), [V4]);
            assert_eq!(words(&run(&["getent", "ahostsv6", name])), [V6]);
            let musl = pod.resolve_with_musl(&[name]).unwrap();
            assert_eq!(words(&musl), [V4, V6], "{musl:?}");
            let dig = run(&["dig", "+short", name, "AAAA"]);
            assert!(dig.stdout.ends_with(&format!("{V6}\n")), "{dig:?}");
        }
    }
    // With ndots:5 a name of two dots goes through the search list first.
    let counts = upstream.queries().unwrap();
    assert!(counts.contains_key("www.example.org.default.svc.cluster.local."), "{counts:?}");
    assert_eq!(counts["www.example.org."].tcp, 0);
}

#[test]
fn every_kind_says_that_a_name_is_missing() {
    let (_lab, _upstream, [pod, _]) = world();
    let missing = "missing.example.org";
    assert_eq!(pod.command(&["getent", "ahosts", missing]).unwrap().code, Some(2));
    let musl = pod.resolve_with_musl(&[missing]).unwrap();
    assert_eq!((musl.code, musl.stdout.as_str()), (Some(1), ""), "{musl:?}");
    let dig = pod.command(&["dig", missing]).unwrap();
    assert!(dig.stdout.contains("status: NXDOMAIN") && dig.stdout.contains("SOA"), "{dig:?}");
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    let (_lab, upstream, [pod, _]) = world();
    let big = pod.command(&["getent", "ahostsv4", "big.example.org."]).unwrap();
    assert_eq!(words(&big).len(), 60, "{big:?}");
    assert_eq!(upstream.queries().unwrap()["big.example.org."], QueryCount { udp: 1, tcp: 1 });
    let fits = pod.command(&["dig", "+short", "+bufsize=1232", "big.example.org", "A"]).unwrap();
    assert_eq!(words(&fits).len(), 60, "{fits:?}");
    assert_eq!(upstream.queries().unwrap()["big.example.org."], QueryCount { udp: 2, tcp: 1 });
}

#[test]
fn the_do_bit_and_an_edns_option_come_back() {
    let (_lab, _upstream, [pod, _]) = world();
    let plain = pod.command(&["dig", "+nocookie", "+ednsopt=65001:beef", NAME]).unwrap();
    assert!(plain.stdout.contains("status: NOERROR"), "{plain:?}");
    assert!(!plain.stdout.contains(" ad;") && !plain.stdout.contains("OPT=65001"), "{plain:?}");
    let secure = pod.command(&["dig", "+nocookie", "+dnssec", "+ednsopt=65001:beef", NAME]).unwrap();
    assert!(secure.stdout.contains(" ad;") && secure.stdout.contains("flags: do;"), "{secure:?}");
    assert!(secure.stdout.contains("OPT=65001: be ef"), "{secure:?}");
}

#[test]
fn the_server_is_silent_slow_gone_or_failing_when_told_so() {
    let (lab, upstream, [pod, _]) = world();
    let dig = |more: &[&str]| {
        let command = [&["dig", "+short", "+tries=1", "+time=1", NAME], more].concat();
        pod.command(&command).unwrap()
    };
    for transport in ["+notcp", "+tcp"] {
        upstream.set(UpstreamMode::Silent).unwrap();
        let silent = dig(&[transport]);
        assert_eq!(silent.code, Some(9), "{silent:?}");
        upstream.set(UpstreamMode::Slow(Duration::from_millis(300))).unwrap();
        let begun = Instant::now();
        assert_eq!(dig(&[transport]).stdout, format!("{V4}\n"));
        assert!(begun.elapsed() >= Duration::from_millis(300));
        upstream.set(UpstreamMode::Refusing).unwrap();
        let gone = dig(&[transport]);
        assert!(gone.stdout.contains("refused"), "{gone:?}");
        upstream.set(UpstreamMode::ServFail).unwrap();
        let failing = pod.command(&["dig", transport, NAME]).unwrap();
        assert!(failing.stdout.contains("status: SERVFAIL"), "{failing:?}");
        upstream.set(UpstreamMode::Normal).unwrap();
        assert_eq!(dig(&[transport]).stdout, format!("{V4}\n"));
    }
    drop(lab);
}

#[test]
fn a_pod_is_a_dns_server_too() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let server = lab.node("node-1").unwrap().add_pod(PodSpec::upstream("default", "dns")).unwrap();
    let at = format!("@{}", server.address().v6);
    let client = lab.node("node-2").unwrap().add_pod(PodSpec::idle("default", "client")).unwrap();
    let dig = client.command(&["dig", "+short", &at, NAME, "A"]).unwrap();
    assert_eq!(dig.stdout, format!("{V4}\n"), "{dig:?}");
    assert_eq!(server.upstream().unwrap().queries().unwrap()["www.example.org."].udp, 1);
    assert!(client.upstream().is_err());
    server.delete().unwrap();
}
