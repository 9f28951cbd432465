//! DNS queries of a client, at a pace that may not depend on the answers.

mod exchange;
mod one_socket;
mod recorder;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval};

use self::exchange::{Asked, Failure};
use self::one_socket::OneSocket;
use self::recorder::Recorder;
use super::client::reason;
use crate::dns_workload::{DnsTally, DnsTransport, DnsWorkload, Pace};

/// How often a load with a rate looks at what is due; tokio's timers are no finer.
const TICK: Duration = Duration::from_millis(1);

/// Queries under way.
pub(super) struct DnsLoad {
    shared: Rc<Shared>,
    sender: JoinHandle<()>,
}

/// The transport, with what it keeps from query to query.
enum Line {
    NewSocket,
    OneSocket(OneSocket),
    Tcp,
}

struct Shared {
    workload: DnsWorkload,
    queries: Vec<Query>,
    line: Line,
    recorder: RefCell<Recorder>,
    /// Queries still to send, where there is an end.
    left: Cell<Option<u32>>,
    stopped: Cell<bool>,
    sent: Cell<usize>,
}

impl DnsLoad {
    /// Starts sending; ends by itself after `limit` queries, if there is a limit.
    pub(super) async fn start(workload: DnsWorkload, limit: Option<u32>) -> Result<Self> {
        ensure!(!workload.questions.is_empty(), "there is nothing to ask");
        ensure!(
            !matches!(workload.pace, Pace::InFlight(0) | Pace::PerSecond(0)),
            "a pace of zero sends nothing"
        );
        let mut queries = Vec::new();
        for question in &workload.questions {
            let mut name = Name::from_ascii(&question.name)
                .with_context(|| format!("{:?} is no name", question.name))?;
            name.set_fqdn(true);
            let record_type: RecordType = question
                .record_type
                .parse()
                .with_context(|| format!("{:?} is no record type", question.record_type))?;
            queries.push(Query::query(name, record_type));
        }
        let line = match workload.transport {
            DnsTransport::UdpNewSocket => Line::NewSocket,
            DnsTransport::UdpOneSocket => Line::OneSocket(OneSocket::open(workload.to).await?),
            DnsTransport::Tcp => Line::Tcp,
        };
        let shared = Rc::new(Shared {
            workload,
            queries,
            line,
            recorder: RefCell::default(),
            left: Cell::new(limit),
            stopped: Cell::new(false),
            sent: Cell::new(0),
        });
        let sender = Rc::clone(&shared);
        let sender = spawn_local(async move {
            match sender.workload.pace {
                Pace::InFlight(many) => sender.send_in_turn(many).await,
                Pace::PerSecond(rate) => sender.send_at(rate).await,
            }
        });
        Ok(Self { shared, sender })
    }

    /// What came of the queries so far.
    pub(super) fn sample(&self) -> DnsTally {
        self.shared.tally()
    }

    /// Sends no more.
    pub(super) fn stop(&self) {
        self.shared.stopped.set(true);
    }

    /// Waits until every query's fate is known.
    pub(super) async fn finish(self) -> Result<DnsTally> {
        self.sender.await.context("sending queries")?;
        Ok(self.shared.tally())
    }
}

impl Shared {
    fn tally(&self) -> DnsTally {
        let stray = match &self.line {
            Line::OneSocket(socket) => socket.stray(),
            Line::NewSocket | Line::Tcp => 0,
        };
        self.recorder.borrow_mut().tally(stray)
    }

    async fn send_in_turn(self: &Rc<Self>, many: u16) {
        let mut tasks = JoinSet::new();
        for _ in 0..many {
            let shared = Rc::clone(self);
            tasks.spawn_local(async move {
                while let Some(query) = shared.next_query() {
                    shared.ask(query).await;
                }
            });
        }
        // A task that panicked shows as queries in flight.
        while tasks.join_next().await.is_some() {}
    }

    async fn send_at(self: &Rc<Self>, per_second: u32) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        let mut sent: u128 = 0;
        'sending: loop {
            ticks.tick().await;
            // The first is due at once.
            let due = begun.elapsed().as_micros() * u128::from(per_second) / 1_000_000 + 1;
            while sent < due {
                let shared = Rc::clone(self);
                let Some(query) = shared.next_query() else { break 'sending };
                tasks.spawn_local(async move { shared.ask(query).await });
                sent += 1;
            }
            while tasks.try_join_next().is_some() {}
        }
        while tasks.join_next().await.is_some() {}
    }

    /// The next question, if there shall be one more.
    fn next_query(&self) -> Option<usize> {
        if self.stopped.get() {
            return None;
        }
        if let Some(left) = self.left.get() {
            self.left.set(Some(left.checked_sub(1)?));
        }
        let number = self.sent.get();
        self.sent.set(number.wrapping_add(1));
        self.recorder.borrow_mut().sent();
        Some(number % self.queries.len())
    }

    async fn ask(&self, query: usize) {
        let Some(query) = self.queries.get(query) else { return };
        let begun = Instant::now();
        let answered = tokio::time::timeout(self.workload.timeout, self.exchange(query)).await;
        let took = begun.elapsed();
        let outcome = match answered {
            Ok(outcome) => outcome.map_err(|failure| match failure {
                Failure::Io(error) => reason(&error.into()),
                Failure::Answer(wrong) => wrong.to_owned(),
            }),
            Err(_) => Err("timeout".to_owned()),
        };
        self.recorder.borrow_mut().record(outcome, took);
    }

    async fn exchange(&self, query: &Query) -> Result<exchange::Answer, Failure> {
        let asked = Asked::new(query);
        let to = self.workload.to;
        match &self.line {
            Line::NewSocket => {
                exchange::over_new_socket(to, &asked, || self.recorder.borrow_mut().stray()).await
            }
            Line::OneSocket(socket) => socket.ask(&asked).await,
            Line::Tcp => exchange::over_tcp(to, &asked).await,
        }
    }
}
