use abi::{BackendId, Generation, IfIndex, Protocol, RuleId, ServiceId};

use super::*;
use crate::explain::testing::cluster;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 10_000 * SECOND;

struct Rows(Vec<(FlowKey, FlowValue)>);

impl FlowSource for Rows {
    fn for_each(&self, each: &mut dyn FnMut(FlowKey, FlowValue)) -> Result<(), KernelError> {
        self.0.iter().for_each(|(key, value)| each(*key, *value));
        Ok(())
    }
}

struct Broken;

impl FlowSource for Broken {
    fn for_each(&self, _: &mut dyn FnMut(FlowKey, FlowValue)) -> Result<(), KernelError> {
        let source = std::io::Error::from_raw_os_error(libc::EPERM);
        Err(KernelError::Read { map: "FLOWS", source })
    }
}

const UNJUDGED: Judged = Judged { revision: PolicyRevision(0), rule: RuleId::NONE, _pad: 0 };

fn socket(text: &str) -> (Addr, Port) {
    let socket: std::net::SocketAddr = text.parse().unwrap();
    (socket.ip().into(), Port::new(socket.port()))
}

fn leg(packets: u64, tcp_flags: u32) -> Leg {
    Leg { last_seen: NOW - 2 * SECOND, packets, bytes: packets * 100, tcp_flags, _pad: 0 }
}

/// A conversation that `opener` began, as the backend sees it.
fn flow(opener: &str, other: &str, protocol: Protocol, sent: Leg, received: Leg) -> (FlowKey, FlowValue) {
    let (key, heading) = FlowKey::of(socket(opener), socket(other), protocol);
    let (up, down, flags) = match heading {
        abi::Heading::Up => (sent, received, FlowFlags(0)),
        abi::Heading::Down => (received, sent, FlowFlags::OPENED_DOWN),
    };
    let value = FlowValue {
        nonce: 1,
        egress: UNJUDGED,
        ingress: UNJUDGED,
        up,
        down,
        service: ServiceId::NONE,
        backend: BackendId(0),
        generation: Generation(0),
        ifindex: IfIndex(3),
        flags,
        dst_port: Port::ANY,
        src_port: Port::ANY,
        _pad: [0; 2],
        dst: Addr::ANY_V6,
        src: Addr::ANY_V6,
    };
    (key, value)
}

fn directory() -> Directory {
    let core = cluster();
    Directory::new(core.snapshot(), core.view(), core.engine())
}

fn reports(rows: Vec<(FlowKey, FlowValue)>, of: Option<&str>) -> Vec<FlowReport> {
    let of = of.map(|addr| BTreeSet::from([socket(&format!("{addr}:1")).0]));
    report(&Rows(rows), &directory(), of.as_ref(), NOW).unwrap().flows
}

#[test]
fn legs_are_told_apart_whichever_end_opened() {
    for (opener, other) in [("10.244.1.5:40000", "10.244.1.6:5432"), ("10.244.1.6:5432", "10.244.1.5:40000")]
    {
        let shown = reports(vec![flow(opener, other, Protocol::TCP, leg(7, 2 | 16), leg(5, 2 | 16))], None);
        let [flow] = shown.as_slice() else { panic!("{shown:?}") };
        assert_eq!((flow.sent.packets, flow.received.packets), (7, 5));
        assert_eq!((flow.sent.bytes, flow.received.bytes), (700, 500));
        let source = format!("{}:{}", flow.source.address, flow.source.port);
        let destination = format!("{}:{}", flow.destination.address, flow.destination.port);
        assert_eq!((source.as_str(), destination.as_str()), (opener, other));
        assert_eq!((flow.state.as_str(), flow.idle_secs), ("open", 2));
        assert_eq!((&flow.backend, &flow.masquerade, &flow.service), (&None, &None, &None));
        assert_eq!((&flow.egress, &flow.ingress), (&None, &None));
    }
}

#[test]
fn a_translated_conversation_shows_what_was_dialled_the_backend_and_the_masquerade() {
    let core = cluster();
    let service =
        core.engine().services().find(|view| view.key.port.service.to_string() == "shop/db").unwrap();
    let (key, value) = flow("192.0.2.1:61000", "10.244.1.6:5432", Protocol::TCP, leg(3, 2), leg(2, 18));
    let value = FlowValue {
        service: service.id,
        flags: value.flags.with(FlowFlags::DNAT).with(FlowFlags::SNAT),
        dst: socket("10.96.0.10:1").0,
        dst_port: Port::new(5432),
        src: socket("10.244.1.8:1").0,
        src_port: Port::new(40_000),
        ..value
    };
    let shown = reports(vec![(key, value)], None);
    let [flow] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!((flow.source.address.as_str(), flow.source.port), ("10.244.1.8", 40_000));
    assert_eq!(flow.source.pods, ["other/web"]);
    assert_eq!((flow.destination.address.as_str(), flow.destination.port), ("10.96.0.10", 5432));
    assert_eq!(flow.service.as_deref(), Some("shop/db:pg/TCP"));
    assert_eq!(flow.backend.as_ref().unwrap().pods, ["shop/db"]);
    assert_eq!(flow.masquerade.as_deref(), Some("192.0.2.1:61000"));
    // It is the client's and the backend's, found by either.
    assert_eq!(reports(vec![(key, value)], Some("10.244.1.8")).len(), 1);
    assert_eq!(reports(vec![(key, value)], Some("10.244.1.6")).len(), 1);
    assert_eq!(reports(vec![(key, value)], Some("10.244.1.5")).len(), 0);
}

#[test]
fn the_rules_that_let_it_pass_are_named() {
    let core = cluster();
    let rule = |text: &str| {
        let mut rules = core.engine().rule_names().iter();
        *rules.find(|(_, name)| name.to_string() == text).unwrap().0
    };
    let judged = |text| Judged { revision: PolicyRevision(9), rule: rule(text), _pad: 0 };
    let (key, value) = flow("10.244.1.5:40000", "10.244.1.6:5432", Protocol::TCP, leg(3, 2), leg(2, 18));
    let value = FlowValue {
        egress: judged("shop/web-out egress[0]"),
        ingress: judged("shop/db-in ingress[0]"),
        ..value
    };
    let shown = reports(vec![(key, value)], None);
    assert_eq!(shown[0].egress.as_deref(), Some("shop/web-out egress[0]"));
    assert_eq!(shown[0].ingress.as_deref(), Some("shop/db-in ingress[0]"));
}

#[test]
fn states_follow_the_control_bits_and_who_has_spoken() {
    let state = |protocol, sent, received| {
        let shown = reports(vec![flow("10.244.1.5:1", "10.244.1.6:2", protocol, sent, received)], None);
        shown.first().map(|flow| flow.state.clone())
    };
    let tcp = |sent, received| state(Protocol::TCP, sent, received).unwrap();
    assert_eq!(tcp(leg(1, 2), leg(0, 0)), "opening");
    assert_eq!(tcp(leg(2, 18), leg(1, 18)), "open");
    assert_eq!(tcp(leg(3, 19), leg(1, 18)), "closing");
    assert_eq!(tcp(leg(3, 19), leg(2, 19)), "closed");
    assert_eq!(tcp(leg(3, 18), leg(2, 4)), "closed");
    assert_eq!(state(Protocol::UDP, leg(1, 0), leg(0, 0)).unwrap(), "unanswered");
    assert_eq!(state(Protocol::UDP, leg(1, 0), leg(1, 0)).unwrap(), "answered");
}

#[test]
fn what_programs_would_not_find_any_more_is_not_shown() {
    let at = |protocol, secs: u64, received: u64, flags| {
        let last_seen = NOW - secs * SECOND;
        let sent = Leg { last_seen, ..leg(1, flags) };
        let received = Leg { last_seen: last_seen - SECOND, ..leg(received, flags) };
        reports(vec![flow("10.244.1.5:1", "10.244.1.6:2", protocol, sent, received)], None).len()
    };
    for (protocol, secs, answers, flags) in [
        (Protocol::TCP, 60, 0, 2),
        (Protocol::TCP, 8_000, 1, 18),
        (Protocol::TCP, 2, 1, 17),
        (Protocol::UDP, 30, 0, 0),
        (Protocol::UDP, 180, 1, 0),
        (Protocol::new(1), 60, 0, 0),
        (Protocol::new(1), 60, 1, 0),
    ] {
        assert_eq!(at(protocol, secs, answers, flags), 1, "{protocol} {secs} {answers}");
        assert_eq!(at(protocol, secs + 1, answers, flags), 0, "{protocol} {secs} {answers}");
    }
}

#[test]
fn a_conversation_is_one_row_and_a_half_that_belongs_to_none_is_no_row() {
    let (key, value) = flow("10.244.1.5:1", "10.244.1.6:2", Protocol::UDP, leg(2, 0), leg(1, 0));
    let alias = flow("10.244.1.5:1", "10.96.0.10:2", Protocol::UDP, leg(2, 0), leg(1, 0));
    let alias = (alias.0, FlowValue { flags: alias.1.flags.with(FlowFlags::ALIAS), ..alias.1 });
    let taken_over = (alias.0, FlowValue { nonce: 0, ..value });
    // Seen as answered, then once more where it was before.
    let older = FlowValue { up: leg(1, 0), down: leg(0, 0), ..value };
    let shown = reports(vec![(key, value), alias, taken_over, (key, older)], None);
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].state, "answered");
}

#[test]
fn a_large_table_is_cut_and_says_so() {
    let port = |n: usize| u16::try_from(n).unwrap();
    let row =
        |n| flow(&format!("10.244.1.5:{}", port(n)), "10.244.1.6:2", Protocol::UDP, leg(1, 0), leg(0, 0));
    let rows = (1..=MAX_FLOWS + 5).map(row).collect();
    let report = report(&Rows(rows), &directory(), None, NOW).unwrap();
    assert_eq!((report.flows.len(), report.left_out), (MAX_FLOWS, 5));
}

#[test]
fn a_table_that_cannot_be_read_is_an_error() {
    let error = report(&Broken, &directory(), None, NOW).unwrap_err();
    assert!(error.to_string().contains("FLOWS"), "{error}");
}
