//! DNS queries of a client: at a rate, over each transport, with the fate of each known. Needs root.

use std::net::SocketAddr;
use std::time::Duration;

use lab::{DnsTransport, DnsWorkload, Lab, LabSpec, Pace, Pod, PodSpec, Question, Upstream, UpstreamMode};

const LIMIT: Duration = Duration::from_secs(10);
const TRANSPORTS: [DnsTransport; 3] =
    [DnsTransport::UdpNewSocket, DnsTransport::UdpOneSocket, DnsTransport::Tcp];

struct World {
    _lab: Lab,
    upstream: Upstream,
    client: Pod,
    /// The server in each family, and in IPv4 from an IPv6 socket.
    servers: [SocketAddr; 3],
}

impl World {
    fn new() -> Self {
        let lab = Lab::new(LabSpec::default()).unwrap();
        let outside = lab.outside().unwrap();
        let upstream = outside.upstream().unwrap();
        let client = lab.node("node-1").unwrap().add_pod(PodSpec::idle("default", "client")).unwrap();
        let address = outside.address();
        let servers =
            [(address.v4, 53).into(), (address.v6, 53).into(), (address.v4.to_ipv6_mapped(), 53).into()];
        Self { _lab: lab, upstream, client, servers }
    }
}

fn questions() -> Vec<Question> {
    vec![
        Question::new("www.example.org", "A"),
        Question::new("wWw.example.org.", "AAAA"),
        Question::new("www.example.org", "SRV"),
        Question::new("missing.example.org", "A"),
        Question::new("big.example.org", "A"),
    ]
}

#[test]
fn answers_are_told_apart_over_every_transport_and_family() {
    let world = World::new();
    for to in world.servers {
        for transport in TRANSPORTS {
            let workload = DnsWorkload::new(to, &questions()).over(transport).pace(Pace::InFlight(4));
            let tally = world.client.client().run_dns(workload, 50).unwrap();
            let what = format!("{transport:?} to {to}: {tally:?}");
            assert_eq!((tally.sent, tally.in_flight(), tally.failures()), (50, 0, 0), "{what}");
            assert_eq!((tally.with_code("NOERROR"), tally.with_code("NXDOMAIN")), (40, 10), "{what}");
            assert_eq!(tally.addresses.get(&[192, 0, 2, 1].into()), Some(&10), "{what}");
            assert_eq!(tally.addresses.get(&"2001:db8::1".parse().unwrap()), Some(&10), "{what}");
            let cut = if transport == DnsTransport::Tcp { 0 } else { 10 };
            assert_eq!((tally.truncated, tally.no_data), (cut, 10 + cut), "{what}");
            assert_eq!(tally.stray, 0, "{what}");
            assert!(tally.answer_time.p50_us > 0 && tally.longest_gap_us > 0, "{what}");
        }
    }
}

#[test]
fn a_load_keeps_its_rate_and_its_longest_gap_shows_a_silence() {
    const SILENCE: Duration = Duration::from_millis(300);
    let world = World::new();
    for transport in [DnsTransport::UdpNewSocket, DnsTransport::UdpOneSocket] {
        let workload =
            DnsWorkload::new(world.servers[0], &questions()[..1]).over(transport).pace(Pace::PerSecond(1000));
        let begun = lab::monotonic_ns();
        let load = world.client.client().start_dns(workload).unwrap();
        let answers = |more: u64| {
            let target = load.sample()?.answers() + more;
            lab::until("answers", LIMIT, || Ok(load.sample()?.answers() >= target))
        };
        answers(200).unwrap();
        let before = load.sample().unwrap();

        world.upstream.set(UpstreamMode::Silent).unwrap();
        let silent_since = lab::monotonic_ns();
        let mut in_silence = 0;
        lab::until("the silence to pass", LIMIT, || {
            in_silence = load.sample()?.sent;
            Ok(lab::monotonic_ns() - silent_since >= SILENCE.as_nanos() as u64)
        })
        .unwrap();
        world.upstream.set(UpstreamMode::Normal).unwrap();
        answers(200).unwrap();
        let tally = load.stop().unwrap();
        let elapsed = Duration::from_nanos(lab::monotonic_ns() - begun);

        let what = format!("{transport:?}: {tally:?}, before {before:?}");
        let silence_us = SILENCE.as_micros() as u64;
        assert!(before.longest_gap_us < silence_us, "{what}");
        assert!(tally.longest_gap_us >= silence_us, "{what}");
        assert!(in_silence - before.sent > 200, "it sends on while nothing comes back: {what}");
        assert_eq!(tally.in_flight(), 0, "{what}");
        assert_eq!(tally.failed.keys().collect::<Vec<_>>(), ["timeout"], "{what}");
        assert!(tally.failures() > 200 && tally.failures() < tally.sent - 300, "{what}");
        let at_most = elapsed.as_millis() as u64 + 1;
        assert!(tally.sent <= at_most, "{at_most} were due: {what}");
    }
}

#[test]
fn a_refusing_server_is_an_errno_and_a_failing_one_a_code() {
    let world = World::new();
    for transport in TRANSPORTS {
        let workload = DnsWorkload::new(world.servers[1], &questions()).over(transport);
        let run = |workload: DnsWorkload| world.client.client().run_dns(workload, 5).unwrap();
        world.upstream.set(UpstreamMode::Refusing).unwrap();
        let refused = run(workload.clone());
        assert_eq!(refused.failed.get("ECONNREFUSED"), Some(&5), "{transport:?}: {refused:?}");
        world.upstream.set(UpstreamMode::ServFail).unwrap();
        let failing = run(workload.clone());
        assert_eq!(failing.with_code("SERVFAIL"), 5, "{transport:?}: {failing:?}");
        world.upstream.set(UpstreamMode::Slow(Duration::from_millis(200))).unwrap();
        let late = run(workload.clone().timeout(Duration::from_millis(50)));
        assert_eq!(late.failed.get("timeout"), Some(&5), "{transport:?}: {late:?}");
        let slow = run(workload);
        assert_eq!((slow.answers(), slow.answer_time.p50_us >= 200_000), (5, true), "{slow:?}");
    }
}

#[test]
fn a_question_that_is_none_is_refused() {
    let world = World::new();
    let ask = |question| {
        let workload = DnsWorkload::new(world.servers[0], &[question]);
        world.client.client().run_dns(workload, 1)
    };
    let label = format!("{}.example.org", "x".repeat(64));
    assert!(format!("{:#}", ask(Question::new(&label, "A")).unwrap_err()).contains("is no name"));
    assert!(format!("{:#}", ask(Question::new("a", "NONE-SUCH")).unwrap_err()).contains("is no record type"));
    let none = DnsWorkload::new(world.servers[0], &questions()).pace(Pace::PerSecond(0));
    assert!(world.client.client().start_dns(none).is_err());
    assert_eq!(ask(Question::new("www.example.org", "A")).unwrap().answers(), 1, "it works on");
}
