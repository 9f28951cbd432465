//! A cluster from manifests, and its answers as text.

use std::net::IpAddr;
use std::sync::Arc;

use dns::answer::{Answer, Outcome, Question, answer};
use dns::config::ClusterConfig;
use dns::record;
use dns::zone::Zone;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use model::{Event, Kind, Store, api};
use serde_json::Value;

/// The serial number of all zones here.
pub(crate) const SERIAL: u32 = 1_700_000_000;

/// A zone and how it is served.
pub(crate) struct Cluster {
    pub(crate) zone: Zone,
    pub(crate) config: ClusterConfig,
    pub(crate) service_addrs: Vec<IpAddr>,
}

impl Cluster {
    /// All of a cluster, served as `cluster.local`, `in-addr.arpa` and `ip6.arpa`.
    pub(crate) fn of(manifest: &str) -> Self {
        let cluster = Self::half_of(manifest);
        Self { zone: cluster.zone.synced(), ..cluster }
    }

    /// What was heard so far of a cluster.
    pub(crate) fn half_of(manifest: &str) -> Self {
        let mut store = Store::new(&Kind::ALL);
        for document in serde_saphyr::from_multiple::<Value>(manifest).unwrap() {
            for object in api::decode(document).unwrap().objects {
                store.apply(Event::Apply(Arc::new(object)));
            }
        }
        let config = ClusterConfig {
            zones: vec![name("cluster.local.")],
            reverse_zones: vec![name("in-addr.arpa."), name("ip6.arpa.")],
            ..ClusterConfig::default()
        };
        let zone = Zone::default().with(record::all(&store.snapshot()), SERIAL);
        Self { zone, config, service_addrs: vec!["10.96.0.10".parse().unwrap()] }
    }

    /// The same, served otherwise.
    pub(crate) fn served(mut self, change: impl FnOnce(&mut ClusterConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Asks `TYPE NAME`. A name without a last dot is in `cluster.local`.
    pub(crate) fn ask(&self, question: &str) -> Outcome {
        let (name, record_type) = parse(question);
        let lower = name.to_lowercase();
        let question = Question { name: &name, lower: &lower, record_type, rotation: 0, max_bytes: 65_535 };
        answer(&self.zone, &self.config, &self.service_addrs, question)
    }

    /// The answer, which there must be.
    pub(crate) fn answer(&self, question: &str) -> Answer {
        match self.ask(question) {
            Outcome::Answer(answer) => answer,
            other @ (Outcome::FallThrough | Outcome::NotOurs) => panic!("{question}: {other:?}"),
        }
    }

    /// What is told in one line: the data of the answers, with the type where it is not the one asked for; the code if it
    /// is an error; NODATA; what is to be asked on.
    pub(crate) fn told(&self, question: &str) -> String {
        let answer = match self.ask(question) {
            Outcome::Answer(answer) => answer,
            Outcome::FallThrough => return "goes on".to_owned(),
            Outcome::NotOurs => return "not ours".to_owned(),
        };
        let (_, asked) = parse(question);
        let datum = |record: &Record| match record.record_type() {
            record_type if record_type == asked => record.data.to_string(),
            record_type => format!("{record_type} {}", record.data),
        };
        let mut words: Vec<String> = answer.answers.iter().map(datum).collect();
        let has_records = answer.answers.iter().any(|record| record.record_type() == asked);
        match (answer.code, &answer.chase) {
            (ResponseCode::NoError, Some(target)) => words.push(format!("then {target}")),
            (ResponseCode::NoError, None) if has_records || asked == RecordType::ANY => {}
            (ResponseCode::NoError, None) => words.push("NODATA".to_owned()),
            (ResponseCode::NXDomain, None) => words.push("NXDOMAIN".to_owned()),
            (ResponseCode::ServFail, None) => words.push("SERVFAIL".to_owned()),
            (code, chase) => panic!("{question}: {code}, then {chase:?}"),
        }
        words.join(", ")
    }

    /// Checks a table of questions and [`told`](Self::told) answers.
    pub(crate) fn tells(&self, table: &[(&str, &str)]) {
        for (question, expected) in table {
            assert_eq!(self.told(question), *expected, "{question}");
        }
    }
}

/// Records as they stand in a zone file.
pub(crate) fn lines(records: &[Record]) -> Vec<String> {
    let line =
        |record: &Record| format!("{} {} {} {}", record.name, record.ttl, record.record_type(), record.data);
    records.iter().map(line).collect()
}

/// A name in text form, with escapes (RFC 1035, 5.1).
pub(crate) fn name(text: &str) -> Name {
    let mut labels = vec![Vec::new()];
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match *byte {
            b'.' => labels.push(Vec::new()),
            b'\\' => {
                let decimal = std::str::from_utf8(&rest.as_slice()[..3]).unwrap();
                labels.last_mut().unwrap().push(decimal.parse().unwrap());
                rest.nth(2);
            }
            byte => labels.last_mut().unwrap().push(byte),
        }
    }
    labels.retain(|label| !label.is_empty());
    Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap()
}

fn parse(question: &str) -> (Name, RecordType) {
    let (record_type, asked) = question.split_once(' ').unwrap();
    let asked = match asked.ends_with('.') {
        true => name(asked),
        false => name(&format!("{asked}.cluster.local.")),
    };
    let record_type = match record_type.strip_prefix("TYPE") {
        Some(number) => RecordType::from(number.parse::<u16>().unwrap()),
        None => record_type.parse().unwrap(),
    };
    (asked, record_type)
}
