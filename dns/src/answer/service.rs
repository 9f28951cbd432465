//! Names of Services, of their ports and of their endpoints.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, SRV};
use hickory_proto::rr::{Name, RData, RecordType};

use super::maker::{endpoint_label, known_label};
use super::{Answer, Answering, Found, Miss, Outcome, Question, answer_chain};
use crate::message::MIN_RECORD_BYTES;
use crate::name::{ServiceName, dashed};
use crate::record::{EndpointRecord, PortProtocol, PortRecord, ServiceKind};
use crate::zone::ServiceEntry;

impl ServiceEntry {
    /// What its own name resolves to.
    pub(super) fn own_addrs(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().map(|ip| IpAddr::V4(*ip)).chain(self.v6.iter().map(|ip| IpAddr::V6(*ip)))
    }
}

/// An SRV record without its target's name: owner, type, class, TTL, length; priority, weight, port.
const SRV_BYTES: usize = 12 + 6;

/// A map whose order nobody sees.
type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
type HashSet<T> = std::collections::HashSet<T, RandomState>;

/// Where an SRV record points, and the addresses of that.
struct SrvTarget<'b> {
    /// The endpoint's label; none where it is the Service itself.
    label: Option<Cow<'b, str>>,
    port: u16,
    addrs: &'b [IpAddr],
}

impl Answering<'_> {
    /// A Service that exists for DNS.
    fn find(&self, name: ServiceName<'_>) -> Result<&ServiceEntry, Miss> {
        let service = self.zone.service(name.namespace, name.name);
        service.map(Arc::as_ref).filter(|service| self.exists(service)).ok_or(Miss::NxDomain)
    }

    /// Whether DNS has a Service: a headless one without endpoints it has not.
    pub(super) fn exists(&self, service: &ServiceEntry) -> bool {
        self.serves(&service.name.namespace)
            && match &service.record.kind {
                ServiceKind::ClusterIps(_) => !self.config.ignores_empty_services || service.has_endpoints(),
                ServiceKind::Headless => self.config.has_endpoints && service.has_endpoints(),
                ServiceKind::ExternalName(_) => true,
            }
    }

    pub(super) fn service(&self, name: ServiceName<'_>) -> Found {
        let service = self.find(name)?;
        let without = match &service.record.kind {
            ServiceKind::ExternalName(target) => return self.external(target),
            ServiceKind::ClusterIps(_) => Miss::NoData,
            // Endpoints of the other family may follow.
            ServiceKind::Headless => Miss::NoDataYet,
        };
        if self.asks_for_addrs() {
            return self.addrs(&self.own_addrs_asked_for(service), without);
        }
        if self.question.record_type != RecordType::SRV {
            return Err(Miss::NoData);
        }
        // Beyond the specification, as CoreDNS has it: all ports, unnamed ones too.
        self.srv(service, self.targets(service, &|_| true))
    }

    fn own_addrs_asked_for(&self, service: &ServiceEntry) -> Vec<IpAddr> {
        if self.question.record_type == RecordType::A {
            service.v4.iter().map(|ip| IpAddr::V4(*ip)).collect()
        } else {
            service.v6.iter().map(|ip| IpAddr::V6(*ip)).collect()
        }
    }

    pub(super) fn protocol(&self, name: ServiceName<'_>, protocol: PortProtocol) -> Found {
        let service = self.find(name)?;
        let is_above = self.has_port(service, &|port| port.protocol == protocol && !port.name.is_empty());
        Err(if is_above { Miss::NoData } else { Miss::NxDomain })
    }

    pub(super) fn port(&self, name: ServiceName<'_>, protocol: PortProtocol, port: &str) -> Found {
        let service = self.find(name)?;
        let is_meant = |p: &PortRecord| p.protocol == protocol && *p.name == *port;
        if !self.has_port(service, &is_meant) {
            return Err(Miss::NxDomain);
        }
        if self.question.record_type != RecordType::SRV {
            return Err(Miss::NoData);
        }
        self.srv(service, self.targets(service, &is_meant))
    }

    fn has_port(&self, service: &ServiceEntry, is_meant: &dyn Fn(&PortRecord) -> bool) -> bool {
        match &service.record.kind {
            ServiceKind::ClusterIps(_) => service.record.ports.iter().any(is_meant),
            ServiceKind::Headless => service.endpoints().any(|(_, ports)| ports.iter().any(is_meant)),
            ServiceKind::ExternalName(_) => false,
        }
    }

    pub(super) fn endpoint(&self, name: ServiceName<'_>, label: &str) -> Found {
        let service = self.find(name)?;
        if !self.config.has_endpoints {
            return Err(Miss::NxDomain);
        }
        let is_meant = |endpoint: &EndpointRecord| match known_label(self.config, endpoint) {
            Some(known) => known == label,
            // Comparing the first byte spares most of the text.
            None => {
                label.starts_with(|c: char| c.is_ascii_hexdigit() || c == '-')
                    && dashed(endpoint.addr) == label
            }
        };
        let meant: Vec<_> = service.endpoints().filter(|(endpoint, _)| is_meant(endpoint)).collect();
        if meant.is_empty() {
            return Err(Miss::NxDomain);
        }
        if self.asks_for_addrs() {
            let mut addrs: Vec<IpAddr> = meant.iter().map(|(endpoint, _)| endpoint.addr).collect();
            addrs.sort_unstable();
            addrs.dedup();
            return self.addrs(&addrs, Miss::NoDataYet);
        }
        if self.question.record_type != RecordType::SRV {
            return Err(Miss::NoData);
        }
        let targets = meant
            .iter()
            .flat_map(|(endpoint, ports)| ports.iter().map(|port| self.endpoint_target(endpoint, port)));
        self.srv(service, targets)
    }

    /// Where SRV records of these ports point: to the Service, or to each endpoint of a headless one.
    fn targets<'b>(
        &'b self,
        service: &'b ServiceEntry,
        is_meant: &'b dyn Fn(&PortRecord) -> bool,
    ) -> Box<dyn Iterator<Item = SrvTarget<'b>> + 'b> {
        match &service.record.kind {
            ServiceKind::ClusterIps(addrs) => {
                let ports = service.record.ports.iter().filter(|port| is_meant(port));
                Box::new(ports.map(|port| SrvTarget { label: None, port: port.number.get(), addrs }))
            }
            ServiceKind::Headless => {
                let count = service.endpoints().count();
                let rotated = service.endpoints().skip(self.question.rotation % count.max(1));
                let rotated = rotated.chain(service.endpoints()).take(count);
                Box::new(rotated.flat_map(move |(endpoint, ports)| {
                    let ports = ports.iter().filter(|port| is_meant(port));
                    ports.map(|port| self.endpoint_target(endpoint, port))
                }))
            }
            ServiceKind::ExternalName(_) => Box::new(std::iter::empty()),
        }
    }

    fn endpoint_target<'b>(&self, endpoint: &'b EndpointRecord, port: &PortRecord) -> SrvTarget<'b> {
        SrvTarget {
            label: Some(endpoint_label(self.config, endpoint)),
            port: port.number.get(),
            addrs: std::slice::from_ref(&endpoint.addr),
        }
    }

    fn target_name(&self, service: &ServiceEntry, label: Option<&str>) -> Option<Name> {
        match label {
            Some(label) => self.make.endpoint_name(&service.name, label),
            None => self.make.service_name(&service.name),
        }
    }

    /// The records of these targets, each once: an endpoint may be in several slices. No more are looked at than it takes to
    /// fill the message, and a name is made once.
    fn srv<'b>(&self, service: &ServiceEntry, targets: impl Iterator<Item = SrvTarget<'b>>) -> Found {
        let mut names: Vec<Name> = Vec::new();
        let mut places_of_labels: HashMap<Option<Cow<'b, str>>, Option<usize>> = HashMap::default();
        let (mut told, mut targeted) = (HashSet::default(), HashSet::default());
        let (mut places, mut addrs) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        for target in targets {
            let known = places_of_labels.get(&target.label).copied();
            let place = known.unwrap_or_else(|| {
                let name = self.target_name(service, target.label.as_deref());
                let place = name.map(|name| {
                    names.push(name);
                    names.len() - 1
                });
                places_of_labels.insert(target.label, place);
                place
            });
            let Some((place, name)) = place.and_then(|place| Some((place, names.get(place)?))) else {
                continue;
            };
            if told.insert((place, target.port)) {
                places.push((place, target.port));
                // Its end is not in `len`; it is not compressed (RFC 2782).
                bytes += SRV_BYTES + name.len() + 1;
            }
            addrs.extend(
                target.addrs.iter().filter(|addr| targeted.insert((place, **addr))).map(|a| (place, *a)),
            );
            if bytes > self.question.max_bytes {
                break;
            }
        }
        if places.is_empty() {
            return Err(Miss::NoDataYet);
        }
        let name_of = |place: usize| names.get(place).cloned().unwrap_or_default();
        let weight = u16::try_from(100 / places.len()).unwrap_or(0).max(1);
        let srv = |(place, port)| RData::SRV(SRV::new(0, weight, port, name_of(place)));
        let record = |place| self.make.record(self.question.name.clone(), srv(place));
        let answers = places.into_iter().map(record).collect();
        // Addresses are told all or none: see `Request::encode`.
        let has_room = bytes + addrs.len() * MIN_RECORD_BYTES <= self.question.max_bytes;
        let addr = |(place, addr)| self.make.addr(name_of(place), addr);
        let additionals = addrs.into_iter().filter(|_| has_room).map(addr).collect();
        Ok(Answer { additionals, ..Answer::of(answers) })
    }

    /// An alias, and what it stands for as far as these zones know.
    fn external(&self, target: &str) -> Found {
        let Some(target) = external_target(target) else { return Err(Miss::NxDomain) };
        let cname = RData::CNAME(CNAME(target.clone()));
        let mut answer = Answer::of(vec![self.make.record(self.question.name.clone(), cname)]);
        // Other types are the target's (RFC 1034, 3.6.2); ANY is any of a name's own.
        if matches!(self.question.record_type, RecordType::CNAME | RecordType::ANY) {
            return Ok(answer);
        }
        // A loop, or as good as one: of the aliases up to here none helps.
        let Some(chain_left) = self.chain_left.checked_sub(1) else {
            return Ok(Answer { code: ResponseCode::ServFail, ..Answer::of(Vec::new()) });
        };
        let lower = target.to_lowercase();
        let question = Question { name: &target, lower: &lower, ..self.question };
        match answer_chain(self.zone, self.config, self.service_addrs, question, chain_left) {
            Outcome::Answer(rest) if rest.code == ResponseCode::ServFail => Ok(rest),
            Outcome::Answer(rest) => {
                answer.answers.extend(rest.answers);
                Ok(Answer { answers: answer.answers, ..rest })
            }
            Outcome::FallThrough | Outcome::NotOurs => Ok(Answer { chase: Some(target), ..answer }),
        }
    }
}

/// The name that a Service is an alias of. An address is none, as CoreDNS has it.
fn external_target(text: &str) -> Option<Name> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() || text.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut name = Name::from_labels(text.split('.').map(str::as_bytes)).ok()?;
    name.set_fqdn(true);
    Some(name)
}
