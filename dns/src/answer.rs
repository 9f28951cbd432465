//! What a zone says to a question. Pure: a zone, a configuration and a question give an answer.

mod maker;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{HINFO, NS, PTR, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

pub(crate) use self::maker::{MAX_SOA_TTL_SECS, SOA_SECS};
use self::maker::{Maker, endpoint_label};
use crate::config::{ClusterConfig, PodsMode};
use crate::message::MIN_RECORD_BYTES;
use crate::name::{ClusterName, ReverseName, SCHEMA_VERSION, parse, parse_reverse};
use crate::zone::Zone;

/// How far a chain of external names is followed (CoreDNS's limit).
pub const MAX_CHAIN: usize = 10;
/// TTL of `dns-version` in seconds: CoreDNS's.
const VERSION_TTL_SECS: u32 = 28_800;

/// A question in class IN.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The name as it was asked: answers copy its case.
    pub name: &'a Name,
    /// The same in lower case.
    pub lower: &'a Name,
    /// The type.
    pub record_type: RecordType,
    /// Any number: the addresses of a headless Service are told beginning with that one, so that clients spread.
    pub rotation: usize,
    /// How many bytes the message may have: of records that do not fit, no more are made than show that.
    pub max_bytes: usize,
}

impl Question<'_> {
    /// How many records are one too many, whatever is in them.
    const fn max_records(&self) -> usize {
        self.max_bytes / MIN_RECORD_BYTES + 1
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The code.
    pub code: ResponseCode,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
    /// The additional section, without OPT.
    pub additionals: Vec<Record>,
    /// The answers end with an alias of this name, which is in none of the zones: its records belong to the answer.
    pub chase: Option<Name>,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is answered.
    Answer(Answer),
    /// Its name is in a zone whose misses go on, and is a miss.
    FallThrough,
    /// Its name is in none of the zones.
    NotOurs,
}

/// Why there are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Miss {
    /// The name exists, with other types.
    NoData,
    /// The same, as far as is known.
    NoDataYet,
    /// The name does not exist, as far as is known.
    NxDomain,
}

/// Records, or why there are none.
type Found = Result<Answer, Miss>;

/// Answers a question from the zones of one `kubernetes` plugin. `service_addrs` are the addresses that clients call
/// the server: the zone's name server has them.
#[must_use]
pub fn answer(
    zone: &Zone,
    config: &ClusterConfig,
    service_addrs: &[IpAddr],
    question: Question<'_>,
) -> Outcome {
    answer_chain(zone, config, service_addrs, question, MAX_CHAIN)
}

fn answer_chain(
    zone: &Zone,
    config: &ClusterConfig,
    service_addrs: &[IpAddr],
    question: Question<'_>,
    chain_left: usize,
) -> Outcome {
    let Some((apex, is_reverse)) = zone_of(config, question.lower) else { return Outcome::NotOurs };
    let home = if is_reverse { config.zones.first().unwrap_or(apex) } else { apex };
    let make = Maker { zone, config, apex, home, owner: question.name };
    let answering = Answering { zone, config, service_addrs, question, make, chain_left };
    let found = if is_reverse { answering.reverse() } else { answering.forward() };
    let miss = match found {
        Ok(answer) => return Outcome::Answer(answer),
        Err(miss) => miss,
    };
    let code = match miss {
        // All types at once need not be told, but a name that has some must not look as if it had none (RFC 8482, 4.2).
        Miss::NoData if question.record_type == RecordType::ANY => {
            let record =
                make.record(question.name.clone(), RData::HINFO(HINFO::new("RFC8482".into(), "".into())));
            return Outcome::Answer(Answer::of(vec![record]));
        }
        Miss::NoData => ResponseCode::NoError,
        // What is not there may not have been heard of yet: nobody may be told that it does not exist.
        Miss::NoDataYet | Miss::NxDomain if !zone.is_synced() => ResponseCode::ServFail,
        Miss::NoDataYet => ResponseCode::NoError,
        Miss::NxDomain if config.fallthrough.covers(question.lower) => return Outcome::FallThrough,
        // Above another of the zones a name exists (RFC 8020).
        Miss::NxDomain if zones(config).any(|(zone, _)| question.lower.zone_of(zone)) => {
            ResponseCode::NoError
        }
        Miss::NxDomain => ResponseCode::NXDomain,
    };
    Outcome::Answer(make.negative(code))
}

/// The zones, and whether each is a reverse zone.
fn zones(config: &ClusterConfig) -> impl Iterator<Item = (&Name, bool)> {
    let reverse = config.reverse_zones.iter().map(|zone| (zone, true));
    config.zones.iter().map(|zone| (zone, false)).chain(reverse)
}

/// The longest zone that a name is in.
fn zone_of<'a>(config: &'a ClusterConfig, name: &Name) -> Option<(&'a Name, bool)> {
    zones(config).filter(|(zone, _)| zone.zone_of(name)).max_by_key(|(zone, _)| zone.iter().count())
}

/// One question being answered.
#[derive(Clone, Copy)]
struct Answering<'a> {
    zone: &'a Zone,
    config: &'a ClusterConfig,
    service_addrs: &'a [IpAddr],
    question: Question<'a>,
    make: Maker<'a>,
    chain_left: usize,
}

impl Answering<'_> {
    fn forward(&self) -> Found {
        match parse(self.question.lower, self.make.apex) {
            ClusterName::Apex => self.apex(),
            ClusterName::Version => {
                let text = RData::TXT(TXT::new(vec![SCHEMA_VERSION.to_owned()]));
                let record = Record::from_rdata(self.question.name.clone(), VERSION_TTL_SECS, text);
                self.if_asked_for(RecordType::TXT, || vec![record])
            }
            ClusterName::Dns | ClusterName::NameServer if self.service_addrs.is_empty() => {
                Err(Miss::NxDomain)
            }
            ClusterName::Dns | ClusterName::Services => Err(Miss::NoData),
            ClusterName::NameServer => self.addrs(self.service_addrs, Miss::NoData),
            ClusterName::Namespace(namespace) => self.namespace(namespace),
            ClusterName::Service(name) => self.service(name),
            ClusterName::Protocol(name, protocol) => self.protocol(name, protocol),
            ClusterName::Port(name, protocol, port) => self.port(name, protocol, port),
            ClusterName::Endpoint(name, label) => self.endpoint(name, label),
            ClusterName::Pods | ClusterName::PodNamespace(_) | ClusterName::Pod { .. }
                if self.config.pods == PodsMode::Disabled =>
            {
                Err(Miss::NxDomain)
            }
            ClusterName::Pods => Err(Miss::NoData),
            ClusterName::PodNamespace(namespace) => self.namespace(namespace),
            ClusterName::Pod { namespace, addr } => self.pod(namespace, addr),
            ClusterName::Nothing => Err(Miss::NxDomain),
        }
    }

    fn apex(&self) -> Found {
        if self.question.record_type == RecordType::NS {
            return Ok(self.name_servers());
        }
        self.if_asked_for(RecordType::SOA, || vec![self.make.soa()])
    }

    /// The Services that have the server's addresses; without one, a name of its own. On every node the node's own
    /// server is behind them.
    fn name_servers(&self) -> Answer {
        let mut answer = Answer::of(Vec::new());
        let mut add = |name: Name, addrs: &[IpAddr]| {
            let ns = RData::NS(NS(name.clone()));
            answer.answers.push(self.make.record(self.question.name.clone(), ns));
            answer.additionals.extend(addrs.iter().map(|addr| self.make.addr(name.clone(), *addr)));
        };
        let mut seen = Vec::new();
        for addr in self.service_addrs {
            let servers = self.zone.services_of(*addr).filter(|service| service.has_cluster_ip(*addr));
            for service in servers.filter(|service| self.exists(service)) {
                if let Some(name) = self.make.service_name(&service.name)
                    && !seen.contains(&&service.name)
                {
                    seen.push(&service.name);
                    let addrs: Vec<IpAddr> = service.own_addrs().collect();
                    add(name, &addrs);
                }
            }
        }
        if seen.is_empty() {
            add(self.make.name_server(), self.service_addrs);
        }
        answer
    }

    fn namespace(&self, namespace: &str) -> Found {
        let exists = self.serves(namespace) && self.zone.has_namespace(namespace);
        Err(if exists { Miss::NoData } else { Miss::NxDomain })
    }

    fn pod(&self, namespace: &str, addr: IpAddr) -> Found {
        let exists = self.serves(namespace)
            && match self.config.pods {
                PodsMode::Disabled => false,
                PodsMode::Insecure => self.zone.has_namespace(namespace),
                PodsMode::Verified => self.zone.has_pod_addr(namespace, addr),
            };
        if exists { self.addrs(&[addr], Miss::NoData) } else { Err(Miss::NxDomain) }
    }

    fn reverse(&self) -> Found {
        let is_apex = self.question.lower == self.make.apex;
        if is_apex && matches!(self.question.record_type, RecordType::SOA | RecordType::NS) {
            return self.apex();
        }
        // The apex exists, whatever the zone is for: a network without addresses, or an address (RFC 2317).
        let without = if is_apex { Miss::NoData } else { Miss::NxDomain };
        let addr = match parse_reverse(self.question.lower) {
            ReverseName::Addr(addr) => addr,
            ReverseName::Above if !self.config.fallthrough.covers(self.question.lower) => {
                return Err(Miss::NoData);
            }
            ReverseName::Above | ReverseName::Nothing => return Err(without),
        };
        let names = self.names_of(addr);
        if names.is_empty() {
            return Err(without);
        }
        self.if_asked_for(RecordType::PTR, || {
            let ptr = |name| self.make.record(self.question.name.clone(), RData::PTR(PTR(name)));
            names.into_iter().map(ptr).collect()
        })
    }

    /// The names of an address, each once: first of the Services that have it as a ClusterIP, then of the endpoints that
    /// have it.
    fn names_of(&self, addr: IpAddr) -> Vec<Name> {
        let services = || self.zone.services_of(addr).filter(|service| self.exists(service));
        let of_services = services()
            .filter(|service| service.has_cluster_ip(addr))
            .filter_map(|service| self.make.service_name(&service.name));
        let of_endpoints = services().filter(|_| self.config.has_endpoints).flat_map(|service| {
            let endpoints = service.endpoints().filter(move |(endpoint, _)| endpoint.addr == addr);
            endpoints.filter_map(|(endpoint, _)| {
                self.make.endpoint_name(&service.name, &endpoint_label(self.config, endpoint))
            })
        });
        let mut seen = BTreeSet::new();
        let names = of_services.chain(of_endpoints).filter(|name| seen.insert(name.clone()));
        names.take(self.question.max_records()).collect()
    }

    /// Whether the namespace is served.
    fn serves(&self, namespace: &str) -> bool {
        self.config.namespaces.as_ref().is_none_or(|served| served.contains(namespace))
    }

    /// Records of one type, if that is the type that was asked for.
    fn if_asked_for(&self, record_type: RecordType, records: impl FnOnce() -> Vec<Record>) -> Found {
        if self.question.record_type == record_type { Ok(Answer::of(records())) } else { Err(Miss::NoData) }
    }

    fn asks_for_addrs(&self) -> bool {
        matches!(self.question.record_type, RecordType::A | RecordType::AAAA)
    }

    /// Those of the addresses that are of the type that was asked for.
    fn addrs(&self, addrs: &[IpAddr], without: Miss) -> Found {
        let asked = self.question.record_type;
        let is_asked_for = |addr: &&IpAddr| asked == addr_type(**addr);
        let count = addrs.iter().filter(is_asked_for).count();
        if count == 0 {
            return Err(without);
        }
        let chosen = addrs.iter().filter(is_asked_for).cycle().skip(self.question.rotation % count);
        let chosen = chosen.take(count.min(self.question.max_records()));
        Ok(Answer::of(chosen.map(|addr| self.make.addr(self.question.name.clone(), *addr)).collect()))
    }
}

const fn addr_type(addr: IpAddr) -> RecordType {
    match addr {
        IpAddr::V4(_) => RecordType::A,
        IpAddr::V6(_) => RecordType::AAAA,
    }
}

impl Answer {
    /// An answer with these records.
    fn of(answers: Vec<Record>) -> Self {
        Self {
            code: ResponseCode::NoError,
            answers,
            authorities: Vec::new(),
            additionals: Vec::new(),
            chase: None,
        }
    }
}
