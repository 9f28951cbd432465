//! Records of a zone.

use std::borrow::Cow;
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, SOA};
use hickory_proto::rr::{Name, RData, Record};
use model::ObjectName;

use super::Answer;
use crate::config::ClusterConfig;
use crate::name::dashed;
use crate::record::EndpointRecord;
use crate::zone::Zone;

/// Values of the SOA record in seconds: CoreDNS's.
pub(crate) const SOA_SECS: [i32; 3] = [REFRESH_SECS, RETRY_SECS, EXPIRE_SECS];
const REFRESH_SECS: i32 = 7200;
const RETRY_SECS: i32 = 1800;
const EXPIRE_SECS: i32 = 86_400;
/// How long the SOA record itself may be kept at most.
pub(crate) const MAX_SOA_TTL_SECS: u32 = 300;

/// Makes the records of one answer.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub(super) zone: &'a Zone,
    pub(super) config: &'a ClusterConfig,
    /// The zone that the question is in.
    pub(super) apex: &'a Name,
    /// The zone that Services and servers are named in: the same, or for a reverse zone the first of the others.
    pub(super) home: &'a Name,
    /// The question's name, case and all.
    pub(super) owner: &'a Name,
}

impl Maker<'_> {
    pub(super) fn record(&self, owner: Name, data: RData) -> Record {
        Record::from_rdata(owner, self.config.ttl_secs, data)
    }

    pub(super) fn addr(&self, owner: Name, addr: IpAddr) -> Record {
        let data = match addr {
            IpAddr::V4(addr) => RData::A(A(addr)),
            IpAddr::V6(addr) => RData::AAAA(AAAA(addr)),
        };
        self.record(owner, data)
    }

    /// An answer without records: the code, and how long to remember it (RFC 2308).
    pub(super) fn negative(&self, code: ResponseCode) -> Answer {
        Answer { code, authorities: vec![self.soa()], ..Answer::of(Vec::new()) }
    }

    pub(super) fn soa(&self) -> Record {
        let ttl = self.config.ttl_secs;
        let soa = SOA::new(
            self.name_server(),
            self.below(&["hostmaster"]).unwrap_or_else(|| self.home.clone()),
            self.zone.serial(),
            REFRESH_SECS,
            RETRY_SECS,
            EXPIRE_SECS,
            ttl,
        );
        // The apex as it was asked for, where it was: the case of the question is kept.
        let owner = if self.owner == self.apex { self.owner } else { self.apex };
        Record::from_rdata(owner.clone(), ttl.min(MAX_SOA_TTL_SECS), RData::SOA(soa))
    }

    /// The server, where no Service is. A zone with no room below it is its own.
    pub(super) fn name_server(&self) -> Name {
        self.below(&["ns", "dns"]).unwrap_or_else(|| self.home.clone())
    }

    pub(super) fn service_name(&self, name: &ObjectName) -> Option<Name> {
        self.below(&[&name.name, &name.namespace, "svc"])
    }

    pub(super) fn endpoint_name(&self, service: &ObjectName, label: &str) -> Option<Name> {
        self.below(&[label, &service.name, &service.namespace, "svc"])
    }

    /// A name below the home zone. There is none over 255 bytes, which labels of 63 come to in a zone of more than 59: nobody
    /// could ask for it.
    fn below(&self, labels: &[&str]) -> Option<Name> {
        let relative = Name::from_labels(labels.iter().map(|label| label.as_bytes())).ok()?;
        relative.append_domain(self.home).ok()
    }
}

/// The label of an endpoint: its hostname, its pod's name where that is wished, or its address.
pub(super) fn endpoint_label<'a>(config: &ClusterConfig, endpoint: &'a EndpointRecord) -> Cow<'a, str> {
    match known_label(config, endpoint) {
        Some(label) => Cow::Borrowed(label),
        None => Cow::Owned(dashed(endpoint.addr)),
    }
}

/// The label of an endpoint unless it is made of the address.
pub(super) fn known_label<'a>(config: &ClusterConfig, endpoint: &'a EndpointRecord) -> Option<&'a str> {
    if !endpoint.hostname.is_empty() {
        Some(&endpoint.hostname)
    } else if config.uses_pod_names && !endpoint.pod.is_empty() {
        Some(&endpoint.pod)
    } else {
        None
    }
}
