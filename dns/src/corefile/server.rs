//! Server blocks, one after the other, into one configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::rr::Name;

use super::directive::{Directive, Word};
use super::error::{CorefileError, CorefileErrorKind};
use super::listen::{self, ListenHost, Listener};
use super::plugin::{self, Plugin};
use super::tree::ServerBlock;
use super::warning::{CorefileWarningKind, Warnings};
use super::zone::{self, Key};
use super::{Defaults, Parsed, forward, kubernetes, probes};
use crate::config::{Block, DnsConfig};

/// What was read so far.
pub(super) struct Server<'a> {
    defaults: &'a Defaults<'a>,
    warnings: Warnings,
    blocks: Vec<Block>,
    /// Who serves a zone: where, and by which line.
    zones: BTreeMap<Name, (Vec<Listener>, u32)>,
    /// Listeners of the first block.
    first: Option<BTreeSet<Listener>>,
    listen: BTreeSet<Listener>,
    health: Option<(SocketAddr, Duration)>,
    ready: Option<SocketAddr>,
    /// The first zone that would need more than plain DNS.
    foreign: Option<Word>,
}

impl<'a> Server<'a> {
    pub(super) fn new(defaults: &'a Defaults<'a>, warnings: Warnings) -> Self {
        Self {
            defaults,
            warnings,
            blocks: Vec::new(),
            zones: BTreeMap::new(),
            first: None,
            listen: BTreeSet::new(),
            health: None,
            ready: None,
            foreign: None,
        }
    }

    pub(super) fn add(&mut self, block: &ServerBlock) -> Result<(), CorefileError> {
        let zones = self.claim_zones(block)?;
        if zones.is_empty() {
            return Ok(());
        }
        let mut served = Block { zones, ..Block::default() };
        let mut first_lines: Vec<(Plugin, u32)> = Vec::new();
        for directive in &block.directives {
            let Some(plugin) = plugin::named(&directive.name)? else {
                self.warnings.add(&directive.name, CorefileWarningKind::PluginSkipped);
                continue;
            };
            match first_lines.iter().find(|(earlier, _)| *earlier == plugin) {
                Some((_, first)) if is_once(plugin) => {
                    return Err(directive.name.error(CorefileErrorKind::PluginAgain { first: *first }));
                }
                Some(_) | None => first_lines.push((plugin, directive.name.line)),
            }
            self.apply(plugin, directive, &mut served)?;
        }
        self.blocks.push(served);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Parsed, CorefileError> {
        if self.blocks.is_empty() {
            if let Some(foreign) = self.foreign {
                return Err(foreign.error(CorefileErrorKind::NoPlainBlocks));
            }
            return Err(CorefileError { line: 1, word: "".into(), kind: CorefileErrorKind::NoBlocks });
        }
        let (health, lameduck) = self.health.unzip();
        let config = DnsConfig {
            blocks: self.blocks,
            health,
            lameduck: lameduck.unwrap_or_default(),
            ready: self.ready,
        };
        Ok(Parsed { config, listen: self.listen.into_iter().collect(), warnings: self.warnings.into_list() })
    }

    /// The zones that a block serves. Its listeners are taken note of.
    fn claim_zones(&mut self, block: &ServerBlock) -> Result<Vec<Name>, CorefileError> {
        let mut served = Vec::new();
        let mut listeners = BTreeSet::new();
        let hosts = self.hosts(block)?;
        for key in &block.keys {
            let parsed = zone::parse_key(&key.text);
            let (zones, port) = match parsed.map_err(|error| key.error(CorefileErrorKind::Zone(error)))? {
                Key::Plain { zones, port } => (zones, port.unwrap_or(self.defaults.port)),
                Key::Foreign => {
                    self.warnings.add(key, CorefileWarningKind::SchemeLeftOut);
                    self.foreign.get_or_insert_with(|| key.clone());
                    continue;
                }
            };
            let places: Vec<_> = hosts.iter().map(|host| Listener { host: host.clone(), port }).collect();
            for zone in zones {
                if self.claim(key, &zone, &places)? {
                    served.push(zone);
                    listeners.extend(places.iter().cloned());
                }
            }
        }
        if let Some(key) = block.keys.first().filter(|_| !served.is_empty()) {
            if self.first.get_or_insert_with(|| listeners.clone()) != &listeners {
                self.warnings.add(key, CorefileWarningKind::SharedListeners);
            }
            self.listen.extend(listeners);
        }
        Ok(served)
    }

    fn hosts(&mut self, block: &ServerBlock) -> Result<Vec<ListenHost>, CorefileError> {
        let mut hosts = Vec::new();
        for bind in block.directives.iter().filter(|directive| &*directive.name.text == "bind") {
            listen::read_bind(bind, &mut hosts, &mut self.warnings)?;
        }
        if hosts.is_empty() {
            hosts.push(ListenHost::Any);
        }
        Ok(hosts)
    }

    /// Whether a zone is this key's to serve. Blocks are not kept apart by where a query comes in, so a zone that is served
    /// in two different places, which CoreDNS allows, is served by the first one only.
    fn claim(&mut self, key: &Word, zone: &Name, places: &[Listener]) -> Result<bool, CorefileError> {
        let Some((earlier, first)) = self.zones.get(zone) else {
            self.zones.insert(zone.clone(), (places.to_vec(), key.line));
            return Ok(true);
        };
        if earlier.iter().any(|a| places.iter().any(|b| a.overlaps(b))) {
            return Err(key.error(CorefileErrorKind::ZoneAgain { first: *first }));
        }
        self.warnings.add(key, CorefileWarningKind::ZoneElsewhere);
        Ok(false)
    }

    fn apply(
        &mut self,
        plugin: Plugin,
        directive: &Directive,
        block: &mut Block,
    ) -> Result<(), CorefileError> {
        match plugin {
            // Read with the zones.
            Plugin::Bind => {}
            Plugin::Cache => self.warnings.add(&directive.name, CorefileWarningKind::CacheNotYet),
            Plugin::Errors => {
                probes::read_errors(directive, &mut self.warnings)?;
                block.logs_errors = true;
            }
            Plugin::Forward => block.forwards.extend(forward::read(directive, &mut self.warnings)?),
            Plugin::Health => {
                let health = probes::read_health(directive, self.defaults.any)?;
                if *self.health.get_or_insert(health) != health {
                    self.warnings.add(&directive.name, CorefileWarningKind::HealthAgain);
                }
            }
            Plugin::Kubernetes => {
                block.cluster = Some(kubernetes::read(directive, &block.zones, &mut self.warnings)?);
            }
            Plugin::Ready => {
                let ready = probes::read_ready(directive, self.defaults.any, &mut self.warnings)?;
                if *self.ready.get_or_insert(ready) != ready {
                    self.warnings.add(&directive.name, CorefileWarningKind::ReadyAgain);
                }
            }
        }
        Ok(())
    }
}

/// Whether CoreDNS refuses a second one in a block.
fn is_once(plugin: Plugin) -> bool {
    match plugin {
        Plugin::Cache | Plugin::Errors | Plugin::Kubernetes | Plugin::Ready => true,
        Plugin::Bind | Plugin::Forward | Plugin::Health => false,
    }
}
