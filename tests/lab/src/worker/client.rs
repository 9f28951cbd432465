//! The client of a pod: reads commands as JSON lines, sends requests, reports.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UdpSocket;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::dns::DnsLoad;
use super::recorder::{Answer, Recorder};
use super::{tcp, udp};
use crate::dns_workload::{DnsTally, DnsWorkload};
use crate::workload::{Command, Dial, LoadId, Reply, Tally, Workload};

/// Obeys commands until standard input ends.
///
/// # Errors
///
/// Standard input or output failed, or a line was no command.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, obey())
}

async fn obey() -> Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut loads = Loads::default();
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line).context("reading a command")? {
            Command::Run { workload, requests } => {
                Reply::Tally(Load::start(workload, Some(requests)).finish().await)
            }
            Command::RunDns { workload, queries } => run_dns(workload, queries)
                .await
                .map_or_else(|error| Reply::Refused(format!("{error:#}")), Reply::DnsTally),
            Command::Start { workload } => loads.start(Running::Requests(Load::start(workload, None))),
            Command::StartDns { workload } => match DnsLoad::start(workload, None).await {
                Ok(load) => loads.start(Running::Queries(load)),
                Err(error) => Reply::Refused(format!("{error:#}")),
            },
            Command::Sample { load } => match loads.running.get(&load) {
                Some(Running::Requests(load)) => Reply::Tally(load.sample()),
                Some(Running::Queries(load)) => Reply::DnsTally(load.sample()),
                None => Reply::Refused(format!("{load:?} does not run")),
            },
            Command::Stop { load } => match loads.running.remove(&load) {
                Some(Running::Requests(load)) => {
                    load.shared.stopped.set(true);
                    Reply::Tally(load.finish().await)
                }
                Some(Running::Queries(load)) => {
                    load.stop();
                    load.finish()
                        .await
                        .map_or_else(|error| Reply::Refused(format!("{error:#}")), Reply::DnsTally)
                }
                None => Reply::Refused(format!("{load:?} does not run")),
            },
        };
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        std::io::stdout().write_all(&line).context("reporting")?;
    }
    Ok(())
}

async fn run_dns(workload: DnsWorkload, queries: u32) -> Result<DnsTally> {
    DnsLoad::start(workload, Some(queries)).await?.finish().await
}

/// What was started and not stopped.
#[derive(Default)]
struct Loads {
    running: BTreeMap<LoadId, Running>,
    started: u32,
}

enum Running {
    Requests(Load),
    Queries(DnsLoad),
}

impl Loads {
    fn start(&mut self, load: Running) -> Reply {
        let id = LoadId(self.started);
        self.started += 1;
        self.running.insert(id, load);
        Reply::Started(id)
    }
}

/// Requests under way.
struct Load {
    shared: Rc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    workload: Workload,
    recorder: RefCell<Recorder>,
    /// Requests still to send, where there is an end.
    left: Cell<Option<u32>>,
    stopped: Cell<bool>,
    sent: Cell<u64>,
}

impl Load {
    fn start(workload: Workload, requests: Option<u32>) -> Self {
        let shared = Rc::new(Shared {
            workload,
            recorder: RefCell::default(),
            left: Cell::new(requests),
            stopped: Cell::new(false),
            sent: Cell::new(0),
        });
        let tasks = (0..workload.concurrency)
            .map(|_| {
                let shared = Rc::clone(&shared);
                spawn_local(async move { shared.send_requests().await })
            })
            .collect();
        Self { shared, tasks }
    }

    fn sample(&self) -> Tally {
        self.shared.recorder.borrow_mut().tally()
    }

    async fn finish(self) -> Tally {
        for task in self.tasks {
            if let Err(error) = task.await {
                let failure = Err(format!("the worker's task failed: {error}"));
                self.shared.recorder.borrow_mut().record(failure, Duration::ZERO);
            }
        }
        self.shared.recorder.borrow_mut().tally()
    }
}

impl Shared {
    async fn send_requests(&self) {
        let mut socket = None;
        while let Some(number) = self.next_request() {
            let payload = format!("request {number} of {}", std::process::id());
            let begun = Instant::now();
            let outcome =
                tokio::time::timeout(self.workload.timeout, self.request(&mut socket, &payload)).await;
            let took = begun.elapsed();
            let outcome = match outcome {
                Ok(answered) => answered.map_err(|error| reason(&error)),
                Err(_) => Err("timeout".to_owned()),
            };
            self.recorder.borrow_mut().record(outcome, took);
            if !self.workload.pause.is_zero() {
                tokio::time::sleep(self.workload.pause).await;
            }
        }
    }

    /// Number of the next request, if there shall be one.
    fn next_request(&self) -> Option<u64> {
        if self.stopped.get() {
            return None;
        }
        if let Some(left) = self.left.get() {
            self.left.set(Some(left.checked_sub(1)?));
        }
        let number = self.sent.get();
        self.sent.set(number + 1);
        Some(number)
    }

    /// `socket` outlives the request for the dial that has one for all.
    async fn request(&self, socket: &mut Option<UdpSocket>, payload: &str) -> Result<Answer> {
        let to = self.workload.to;
        match self.workload.dial {
            Dial::Tcp => tcp::request(to).await,
            Dial::UdpConnected => udp::request_connected(to, payload).await,
            Dial::UdpUnconnected => udp::request_unconnected(&udp::open(to).await?, to, payload).await,
            Dial::UdpOneSocket => {
                let socket = match socket {
                    Some(socket) => socket,
                    None => socket.insert(udp::open(to).await?),
                };
                udp::request_unconnected(socket, to, payload).await
            }
        }
    }
}

/// The name of the errno, where there is one: reports are compared and counted by it.
pub(super) fn reason(error: &anyhow::Error) -> String {
    let errno = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    match errno {
        Some(code) => format!("{:?}", Errno::from_raw(code)),
        None => format!("{error:#}"),
    }
}
