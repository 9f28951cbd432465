use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::*;
use crate::record::{
    Change, EndpointRecord, PortProtocol, PortRecord, ServiceKind, ServiceRecord, SliceRecord,
};

/// What fits into a message over TCP.
const TCP_BYTES: usize = 65_535;

/// A headless Service `many.ns` with endpoints that are in so many slices each, alone.
fn many(endpoints: u16, slices: usize) -> Zone {
    let port = PortRecord { name: "p".into(), protocol: PortProtocol::Tcp, number: NonZeroU16::MIN };
    let endpoint = |i: u16| EndpointRecord {
        addr: IpAddr::from([10, 0, i.to_be_bytes()[0], i.to_be_bytes()[1]]),
        hostname: format!("h{i}").into(),
        pod: Arc::default(),
    };
    let slice = |i| SliceRecord { ports: vec![port.clone()], endpoints: vec![endpoint(i)] };
    let slices = (0..endpoints).flat_map(|i| vec![slice(i); slices]).collect();
    let record = ServiceRecord { kind: ServiceKind::Headless, ports: Vec::new(), slices };
    let change = Change::Service { namespace: "ns".into(), name: "many".into(), record: Some(record) };
    Zone::default().with(vec![change], 1).synced()
}

/// The answer for a type at `<labels>.many.ns.svc.example.`.
fn told(zone: &Zone, labels: &str, record_type: RecordType, rotation: usize, max_bytes: usize) -> Answer {
    let apex = Name::from_ascii("example.").unwrap();
    let name = Name::from_ascii(format!("{labels}many.ns.svc.example.")).unwrap();
    let config = ClusterConfig { zones: vec![apex], ..ClusterConfig::default() };
    let question = Question { name: &name, lower: &name, record_type, rotation, max_bytes };
    let Outcome::Answer(answer) = answer(zone, &config, &[], question) else { panic!("{name} is not ours") };
    answer
}

/// The data of its answers.
fn data(
    zone: &Zone,
    labels: &str,
    record_type: RecordType,
    rotation: usize,
    max_bytes: usize,
) -> Vec<String> {
    let answer = told(zone, labels, record_type, rotation, max_bytes);
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn addresses_begin_with_the_one_that_the_rotation_says() {
    let zone = many(3, 1);
    let all = ["10.0.0.0", "10.0.0.1", "10.0.0.2"];
    for rotation in 0..7 {
        let mut expected = all;
        expected.rotate_left(rotation % 3);
        assert_eq!(data(&zone, "", RecordType::A, rotation, 512), expected);
    }
    assert_eq!(data(&zone, "", RecordType::A, usize::MAX, 512).len(), 3);
}

#[test]
fn srv_records_begin_with_the_one_that_the_rotation_says() {
    let zone = many(3, 1);
    for rotation in 0..6 {
        let told = data(&zone, "_p._tcp.", RecordType::SRV, rotation, 512);
        let expected: Vec<String> =
            (0..3).map(|i| format!("0 33 1 h{}.many.ns.svc.example.", (rotation + i) % 3)).collect();
        assert_eq!(told, expected, "{rotation}");
    }
}

#[test]
fn records_beyond_those_that_fit_are_not_made() {
    let zone = many(200, 1);
    assert_eq!(data(&zone, "", RecordType::A, 195, 512).len(), 33);
    let all: BTreeSet<String> = data(&zone, "", RecordType::A, 0, TCP_BYTES).into_iter().collect();
    assert_eq!(all.len(), 200);
}

#[test]
fn srv_records_are_made_until_the_message_is_full_and_no_address_beside_them() {
    // `h4000.many.ns.svc.example.` has 27 bytes, so that a record has 45.
    let zone = many(5000, 1);
    for (max_bytes, count) in [(512, 12), (1232, 28), (TCP_BYTES, 1457)] {
        let answer = told(&zone, "_p._tcp.", RecordType::SRV, 2000, max_bytes);
        assert_eq!(answer.answers.len(), count, "{max_bytes}");
        assert_eq!(answer.additionals, [], "{max_bytes}");
    }
}

#[test]
fn addresses_of_srv_records_are_made_where_there_may_be_room_for_all() {
    let zone = many(9, 1);
    // Nine records of 42 bytes, and addresses of 16.
    assert_eq!(told(&zone, "_p._tcp.", RecordType::SRV, 0, 9 * (42 + 16)).additionals.len(), 9);
    assert_eq!(told(&zone, "_p._tcp.", RecordType::SRV, 0, 9 * (42 + 16) - 1).additionals, []);
}

#[test]
fn an_endpoint_in_many_slices_takes_the_place_of_no_other() {
    let zone = many(20, 8);
    assert_eq!(data(&zone, "_p._tcp.", RecordType::SRV, 0, 20 * 43).len(), 20);
    assert_eq!(data(&zone, "", RecordType::A, 0, 20 * 16).len(), 20);
}
