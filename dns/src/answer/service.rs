//! Names of Services, of their ports and of their endpoints.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, SRV};
use hickory_proto::rr::{Name, RData, RecordType};

use super::maker::{endpoint_label, known_label};
use super::{Answer, Answering, Found, Miss, Outcome, Question, answer_chain};
use crate::name::{ServiceName, dashed};
use crate::record::{EndpointRecord, PortProtocol, PortRecord, ServiceKind};
use crate::zone::ServiceEntry;

impl ServiceEntry {
    /// What its own name resolves to.
    pub(super) fn own_addrs(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().map(|ip| IpAddr::V4(*ip)).chain(self.v6.iter().map(|ip| IpAddr::V6(*ip)))
    }
}

/// Where an SRV record points, and the addresses of that.
struct SrvTarget {
    name: Name,
    port: u16,
    addrs: Vec<IpAddr>,
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
        self.srv(self.targets(service, &|_| true))
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
        self.srv(self.targets(service, &is_meant))
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
        let targets = meant.iter().flat_map(|(endpoint, ports)| {
            ports.iter().filter_map(|port| self.endpoint_target(service, endpoint, port))
        });
        self.srv(targets)
    }

    /// Where SRV records of these ports point: to the Service, or to each endpoint of a headless one.
    fn targets<'b>(
        &'b self,
        service: &'b ServiceEntry,
        is_meant: &'b dyn Fn(&PortRecord) -> bool,
    ) -> Box<dyn Iterator<Item = SrvTarget> + 'b> {
        match &service.record.kind {
            ServiceKind::ClusterIps(_) => {
                let ports = service.record.ports.iter().filter(|port| is_meant(port));
                Box::new(ports.filter_map(|port| {
                    let name = self.make.service_name(&service.name)?;
                    Some(SrvTarget { name, port: port.number.get(), addrs: service.own_addrs().collect() })
                }))
            }
            ServiceKind::Headless => {
                let count = service.endpoints().count();
                let rotated = service.endpoints().skip(self.question.rotation % count.max(1));
                let rotated = rotated.chain(service.endpoints()).take(count);
                Box::new(rotated.flat_map(move |(endpoint, ports)| {
                    let ports = ports.iter().filter(|port| is_meant(port));
                    ports.filter_map(|port| self.endpoint_target(service, endpoint, port))
                }))
            }
            ServiceKind::ExternalName(_) => Box::new(std::iter::empty()),
        }
    }

    fn endpoint_target(
        &self,
        service: &ServiceEntry,
        endpoint: &EndpointRecord,
        port: &PortRecord,
    ) -> Option<SrvTarget> {
        let name = self.make.endpoint_name(&service.name, &endpoint_label(self.config, endpoint))?;
        Some(SrvTarget { name, port: port.number.get(), addrs: vec![endpoint.addr] })
    }

    /// The records of these targets, each once: an endpoint may be in several slices.
    fn srv(&self, targets: impl Iterator<Item = SrvTarget>) -> Found {
        let (mut told, mut targeted) = (BTreeSet::new(), BTreeSet::new());
        let (mut places, mut additionals) = (Vec::new(), Vec::new());
        for SrvTarget { name, port, addrs } in targets {
            for addr in addrs {
                if targeted.insert((name.clone(), addr)) {
                    additionals.push(self.make.addr(name.clone(), addr));
                }
            }
            if told.insert((name.clone(), port)) {
                places.push((name, port));
                if places.len() == self.question.max_records {
                    break;
                }
            }
        }
        if places.is_empty() {
            return Err(Miss::NoDataYet);
        }
        let weight = u16::try_from(100 / places.len()).unwrap_or(0).max(1);
        let srv = |(name, port)| RData::SRV(SRV::new(0, weight, port, name));
        let record = |place| self.make.record(self.question.name.clone(), srv(place));
        let answers = places.into_iter().map(record).collect();
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
