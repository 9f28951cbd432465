//! Connections by the ten thousand, all open at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::pipe::WorkerPipe;
use crate::site::Site;

/// Connections of one process: some machines let it open 20,000 files at most.
const PER_PROCESS: u32 = 10_000;
/// How long the workers may take beyond their limit.
const SLACK: Duration = Duration::from_secs(20);

/// Connections to open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MassSpec {
    /// To which echo server, or frontend of echo servers.
    pub to: SocketAddr,
    /// How many from each site; by one process for every 10,000.
    pub connections: u32,
    /// Source addresses to use in turn, those of the wrong family left out; the kernel's choice without any. One
    /// address has some 28,000 ports, of which one that closed a connection stays taken for a minute, and the kernel
    /// searches long where few are left: 20,000 connections, opened again after they were closed, take 19 s from two
    /// addresses and half a second from eight.
    pub sources: Vec<IpAddr>,
    /// Handshakes that a process has under way at once.
    pub in_flight: u32,
    /// Time for each step: opening all, an exchange on all.
    pub limit: Duration,
}

impl MassSpec {
    /// That many connections, 512 handshakes at once, 30 seconds for each step.
    pub fn new(to: impl Into<SocketAddr>, connections: u32) -> Self {
        let limit = Duration::from_secs(30);
        Self { to: to.into(), connections, sources: Vec::new(), in_flight: 512, limit }
    }

    /// The same from these addresses in turn.
    #[must_use]
    pub fn sources(self, sources: &[IpAddr]) -> Self {
        Self { sources: sources.to_vec(), ..self }
    }
}

/// What became of the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MassTally {
    /// Connections that are open now.
    pub open: u64,
    /// Those that could not be opened or were lost, by the name of the errno; `timeout` or what was wrong else.
    pub failed: BTreeMap<String, u64>,
    /// Answers to the last exchange by the name of the site that gave them.
    pub answered: BTreeMap<String, u64>,
    /// Clients' addresses and ports that servers saw in the last exchange, all different.
    pub seen: u64,
    /// How long the step took, the slowest site's.
    pub took: Duration,
}

impl MassTally {
    /// Number of connections that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn add(mut self, other: Self) -> Self {
        let sum = |into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>| {
            from.into_iter().for_each(|(key, count)| *into.entry(key).or_default() += count);
        };
        sum(&mut self.failed, other.failed);
        sum(&mut self.answered, other.answered);
        self.open += other.open;
        self.seen += other.seen;
        self.took = self.took.max(other.took);
        self
    }
}

/// One line to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum MassCommand {
    Open(MassSpec),
    Exchange,
    Close,
}

/// Open connections of one or more sites. Dropping it closes them.
#[derive(Debug)]
pub struct Mass {
    workers: Vec<WorkerPipe>,
    limit: Duration,
}

impl Mass {
    /// Opens the connections from all sites at once.
    ///
    /// # Errors
    ///
    /// A process in a site could not be started or died. Connections that fail are in the tally.
    pub fn open(sites: &[Site], spec: &MassSpec) -> Result<(Self, MassTally)> {
        let processes = spec.connections.div_ceil(PER_PROCESS).max(1);
        let mut workers = Vec::new();
        let mut shares = Vec::new();
        for (site, process) in sites.iter().flat_map(|site| (0..processes).map(move |p| (site, p))) {
            workers.push(WorkerPipe::start(site.place(), &["mass"])?);
            let connections = (spec.connections + process) / processes;
            shares.push(MassCommand::Open(MassSpec { connections, ..spec.clone() }));
        }
        let mut mass = Self { workers, limit: spec.limit };
        let tally = mass.call(&shares)?;
        Ok((mass, tally))
    }

    /// Sends a line of its own on each connection and waits for its answer: a connection that gets another's answer or
    /// none has failed and is closed.
    ///
    /// # Errors
    ///
    /// A process in a site died.
    pub fn exchange(&mut self) -> Result<MassTally> {
        self.call(&[MassCommand::Exchange])
    }

    /// Closes them all, as clients do: by FIN.
    ///
    /// # Errors
    ///
    /// A process in a site died.
    pub fn close(mut self) -> Result<MassTally> {
        self.call(&[MassCommand::Close])
    }

    /// Sends each worker its command, or all the same one.
    fn call(&mut self, commands: &[MassCommand]) -> Result<MassTally> {
        let limit = self.limit + SLACK;
        thread::scope(|scope| {
            let calls: Vec<_> = self
                .workers
                .iter_mut()
                .zip(commands.iter().cycle())
                .map(|(worker, command)| scope.spawn(move || worker.call::<MassTally>(command, limit)))
                .collect();
            calls.into_iter().try_fold(MassTally::default(), |sum, call| {
                let tally = call.join().map_err(|_| anyhow!("a calling thread panicked"))?;
                Ok(sum.add(tally.context("asking for many connections")?))
            })
        })
    }
}
