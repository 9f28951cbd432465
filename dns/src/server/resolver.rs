//! What is done with a query: answered from the zone, forwarded, or refused.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use tokio::sync::watch;
use tokio::time::Instant;

use super::looping::LoopProbe;
use super::quick::{self, QuickZone};
use super::sparing::Sparing;
use super::{ZoneReader, alias};
use crate::answer::{Answer, MAX_CHAIN, Outcome, Question, answer};
use crate::config::{Block, DnsConfig};
use crate::forward::{Forwarder, Permit, RawQuery};
use crate::message::{self, Read, Request, Transport};
use crate::metrics::Metrics;
use crate::zone::Zone;

/// Everything that servers of one process share.
#[derive(Debug)]
pub struct Resolver {
    blocks: Vec<ServedBlock>,
    quick: Vec<QuickZone>,
    zone: watch::Receiver<Arc<Zone>>,
    metrics: Arc<Metrics>,
    probe: LoopProbe,
    failures: Sparing,
}

#[derive(Debug)]
struct ServedBlock {
    block: Block,
    forwarders: Vec<Arc<Forwarder>>,
}

/// What a packet came to.
pub(super) enum Step {
    /// It is not answered.
    Silent,
    /// It is answered so.
    Reply(Vec<u8>),
    /// It is answered later.
    Later(Box<Later>),
}

/// What a packet comes to at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is not answered.
    Silent,
    /// It is answered so.
    Reply(Vec<u8>),
    /// Upstreams would be asked.
    Forwarded,
}

/// A query that upstreams are asked about.
pub(super) struct Later {
    request: Request,
    transport: Transport,
    forwarder: Arc<Forwarder>,
    permit: Permit,
    ask: Ask,
    logs_errors: bool,
}

enum Ask {
    /// The packet itself.
    Packet(RawQuery),
    /// What an external name stands for; what is known of the answer already.
    Alias(Box<(Name, Answer)>),
}

impl Resolver {
    /// Serves a configuration.
    #[must_use]
    pub fn new(config: &DnsConfig, zone: watch::Receiver<Arc<Zone>>, metrics: Arc<Metrics>) -> Self {
        let served = |block: &Block| ServedBlock {
            forwarders: block
                .forwards
                .iter()
                .map(|config| Arc::new(Forwarder::new(config.clone(), Arc::clone(&metrics))))
                .collect(),
            block: block.clone(),
        };
        Self {
            quick: quick::zones(&config.blocks),
            blocks: config.blocks.iter().map(served).collect(),
            zone,
            probe: LoopProbe::new(),
            failures: Sparing::default(),
            metrics,
        }
    }

    /// The upstreams of forwarders that take them from this file are these from now on.
    pub fn set_file_upstreams(&self, file: &Path, addrs: &[SocketAddr]) {
        for forwarder in self.forwarders().filter(|forwarder| forwarder.file() == Some(file)) {
            forwarder.set_upstreams(addrs);
        }
    }

    /// Upstreams that are this server by these addresses are not asked from now on.
    pub fn leave_out(&self, own: &[SocketAddr]) {
        for forwarder in self.forwarders() {
            forwarder.leave_out(own);
        }
    }

    /// Looks, for ever, for upstreams through which queries come back: those are not asked any more.
    pub async fn watch_for_loops(&self) {
        self.probe.run(|| self.forwarders().cloned().collect()).await;
    }

    pub(super) fn zone(&self) -> ZoneReader {
        ZoneReader::new(self.zone.clone())
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    fn forwarders(&self) -> impl Iterator<Item = &Arc<Forwarder>> {
        self.blocks.iter().flat_map(|block| &block.forwarders)
    }

    /// Takes a packet as a server does, and asks nobody.
    #[must_use]
    pub fn handle(&self, packet: &[u8], transport: Transport) -> Handled {
        Self::handled(self.step(&self.zone.borrow(), packet, transport))
    }

    /// The same without the short way that common queries have: what it is held against.
    #[must_use]
    pub fn handle_step_by_step(&self, packet: &[u8], transport: Transport) -> Handled {
        Self::handled(self.step_by_step(&self.zone.borrow(), packet, transport))
    }

    fn handled(step: Step) -> Handled {
        match step {
            Step::Silent => Handled::Silent,
            Step::Reply(reply) => Handled::Reply(reply),
            Step::Later(_) => Handled::Forwarded,
        }
    }

    /// Takes a packet.
    pub(super) fn step(&self, zone: &Zone, packet: &[u8], transport: Transport) -> Step {
        if let Some(quick) = self.quick.iter().find_map(|quick| quick.answer(zone, packet, transport)) {
            self.metrics.request(transport, quick.record_type);
            self.metrics.response(quick.code);
            return Step::Reply(quick.bytes);
        }
        self.step_by_step(zone, packet, transport)
    }

    fn step_by_step(&self, zone: &Zone, packet: &[u8], transport: Transport) -> Step {
        let request = match message::read(packet, transport) {
            Read::Request(request) => request,
            Read::Refused(code, bytes) => {
                self.metrics.response(code);
                return Step::Reply(bytes);
            }
            Read::Silent => {
                self.metrics.silent();
                return Step::Silent;
            }
        };
        self.metrics.request(transport, request.query.query_type);
        if self.probe.is_ours(&request.query.name) {
            self.probe.came_back(&request.query.name, || self.forwarders().cloned().collect());
            return self.refuse(&request, ResponseCode::Refused);
        }
        let lower = request.query.name.to_lowercase();
        let Some(block) = self.block_of(&lower) else { return self.refuse(&request, ResponseCode::Refused) };
        if let Some(mut answer) = block.answer(zone, &request, &request.query.name, &lower) {
            return match answer.chase.take() {
                Some(target) => self.chase(zone, request, transport, target, answer),
                None => self.reply(&request, answer),
            };
        }
        let Some(raw) = RawQuery::new(packet, request.accepted_bytes()) else {
            return self.refuse(&request, ResponseCode::FormErr);
        };
        self.forward(request, transport, block, &lower, Ask::Packet(raw))
    }

    fn block_of(&self, lower: &Name) -> Option<&ServedBlock> {
        let zone_of = |block: &ServedBlock| {
            let zones = block.block.zones.iter().filter(|zone| zone.zone_of(lower));
            zones.map(Name::num_labels).max()
        };
        let candidates = self.blocks.iter().filter_map(|block| Some((zone_of(block)?, block)));
        // Of equals the first.
        candidates.rev().max_by_key(|(labels, _)| *labels).map(|(_, block)| block)
    }

    /// What an external name stands for is asked of whoever serves that name: here, or upstream.
    fn chase(
        &self,
        zone: &Zone,
        request: Request,
        transport: Transport,
        mut target: Name,
        mut known: Answer,
    ) -> Step {
        for _ in 0..MAX_CHAIN {
            let lower = target.to_lowercase();
            // Nobody to ask: the client knows the name at least.
            let Some(block) = self.block_of(&lower) else { return self.reply(&request, known) };
            let Some(mut rest) = block.answer(zone, &request, &target, &lower) else {
                if block.forwarder_of(&lower).is_none() {
                    return self.reply(&request, known);
                }
                return self.forward(
                    request,
                    transport,
                    block,
                    &lower,
                    Ask::Alias(Box::new((target, known))),
                );
            };
            if rest.code == ResponseCode::ServFail {
                return self.reply(&request, rest);
            }
            let next = rest.chase.take();
            known.answers.append(&mut rest.answers);
            known = Answer { answers: known.answers, ..rest };
            match next {
                Some(next) => target = next,
                None => return self.reply(&request, known),
            }
        }
        // A circle through several blocks.
        self.refuse(&request, ResponseCode::ServFail)
    }

    fn forward(
        &self,
        request: Request,
        transport: Transport,
        block: &ServedBlock,
        lower: &Name,
        ask: Ask,
    ) -> Step {
        let Some(forwarder) = block.forwarder_of(lower) else {
            return self.refuse(&request, ResponseCode::ServFail);
        };
        let Some(permit) = forwarder.admit() else { return self.refuse(&request, ResponseCode::Refused) };
        let forwarder = Arc::clone(forwarder);
        let logs_errors = block.block.logs_errors;
        Step::Later(Box::new(Later { request, transport, forwarder, permit, ask, logs_errors }))
    }

    fn reply(&self, request: &Request, answer: Answer) -> Step {
        self.metrics.response(answer.code);
        Step::Reply(request.respond(answer))
    }

    fn refuse(&self, request: &Request, code: ResponseCode) -> Step {
        self.metrics.response(code);
        Step::Reply(request.respond_with(code))
    }

    /// Asks the upstreams, and makes the response.
    pub(super) async fn finish(&self, later: Later) -> Vec<u8> {
        let Later { request, transport, forwarder, permit, ask, logs_errors } = later;
        let answered = match &ask {
            Ask::Packet(query) => forwarder.ask(query, transport).await,
            Ask::Alias(alias) => alias::ask(&forwarder, &alias.0, &request).await,
        };
        drop(permit);
        let Some(bytes) = answered else {
            tracing::debug!(
                name = %request.query.name,
                record_type = %request.query.query_type,
                "no upstream answered: SERVFAIL"
            );
            // Without the name: it says what somebody's pod asks for.
            if logs_errors && let Some(count) = self.failures.note(Instant::now()) {
                tracing::warn!(count, "queries that no upstream answered: SERVFAIL");
            }
            self.metrics.response(ResponseCode::ServFail);
            return request.respond_with(ResponseCode::ServFail);
        };
        match ask {
            Ask::Packet(_) => {
                self.metrics.response_low(bytes.get(3).map_or(0, |flags| flags & 0x0f), false);
                request.pass_on(bytes)
            }
            Ask::Alias(alias) => {
                let (target, known) = *alias;
                let answer = alias::join(known, &target, &bytes);
                self.metrics.response(answer.code);
                request.respond(answer)
            }
        }
    }
}

impl ServedBlock {
    /// What its zones say of a name, if they have a say in it.
    fn answer(&self, zone: &Zone, request: &Request, name: &Name, lower: &Name) -> Option<Answer> {
        let question = Question {
            name,
            lower,
            record_type: request.query.query_type,
            rotation: usize::from(request.metadata.id),
            max_bytes: request.limit_bytes(),
        };
        match answer(zone, self.block.cluster.as_ref()?, zone.service_addrs(), question) {
            Outcome::Answer(answer) => Some(answer),
            Outcome::FallThrough | Outcome::NotOurs => None,
        }
    }

    /// The forwarder with the longest zone that takes the name.
    fn forwarder_of(&self, lower: &Name) -> Option<&Arc<Forwarder>> {
        let takes = |f: &&Arc<Forwarder>| {
            f.config().from.zone_of(lower) && !f.config().except.iter().any(|zone| zone.zone_of(lower))
        };
        self.forwarders.iter().rev().filter(takes).max_by_key(|f| f.config().from.num_labels())
    }
}
