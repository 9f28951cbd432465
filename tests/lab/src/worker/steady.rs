//! One long connection that is never idle.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use std::io::Write;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::client::reason;
use crate::echo::Echo;
use crate::steady::{SteadyCommand, SteadyFacts};

/// How long the last lines may take to come back.
const LAST_LINES: Duration = Duration::from_secs(1);

struct Shared {
    facts: RefCell<SteadyFacts>,
    last: Cell<Instant>,
    stopped: Cell<bool>,
}

/// Keeps a line on its way every `period` and obeys commands until standard input ends or it is stopped.
///
/// # Errors
///
/// Standard input or output failed, or a line was no command.
pub fn run(to: SocketAddr, period: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, obey(to, period))
}

async fn obey(to: SocketAddr, period: Duration) -> Result<()> {
    let shared = Rc::new(Shared {
        facts: RefCell::default(),
        last: Cell::new(Instant::now()),
        stopped: Cell::new(false),
    });
    let connection = {
        let shared = Rc::clone(&shared);
        spawn_local(async move {
            if let Err(error) = shared.talk(to, period).await {
                shared.end(&error);
            }
        })
    };
    let mut connection = Some(connection);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let command: SteadyCommand = serde_json::from_str(&line).context("reading a command")?;
        let facts = match command {
            SteadyCommand::Sample => shared.facts(),
            SteadyCommand::Forget => {
                let facts = shared.facts();
                shared.facts.borrow_mut().longest_pause = Duration::ZERO;
                facts
            }
            SteadyCommand::Stop => {
                shared.stopped.set(true);
                if let Some(connection) = connection.take() {
                    // Beyond the last lines' time it is in the facts that lines are missing.
                    let _ = timeout(LAST_LINES + period, connection).await;
                }
                shared.facts()
            }
        };
        let mut line = serde_json::to_vec(&facts)?;
        line.push(b'\n');
        std::io::stdout().write_all(&line).context("reporting")?;
    }
    Ok(())
}

impl Shared {
    async fn talk(&self, to: SocketAddr, period: Duration) -> Result<()> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        self.last.set(Instant::now());
        let (reader, writer) = stream.into_split();
        // Whichever ends first ends the other: a stopped writer waits for what is still to come back.
        tokio::select! {
            read = self.read(reader) => read,
            written = self.write(writer, period) => written,
        }
    }

    async fn write(&self, mut writer: OwnedWriteHalf, period: Duration) -> Result<()> {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.stopped.get() {
                let all_are_back = || {
                    let facts = self.facts.borrow();
                    facts.received + facts.wrong >= facts.sent
                };
                while !all_are_back() {
                    ticks.tick().await;
                }
                return Ok(());
            }
            let number = self.facts.borrow().sent;
            writer.write_all(format!("line {number}\n").as_bytes()).await?;
            self.facts.borrow_mut().sent += 1;
        }
    }

    async fn read(&self, reader: OwnedReadHalf) -> Result<()> {
        let mut reader = BufReader::new(reader);
        let mut answer = Vec::new();
        loop {
            answer.clear();
            let length = reader.read_until(b'\n', &mut answer).await?;
            ensure!(length > 0 && answer.pop() == Some(b'\n'), anyhow!("closed by the other side"));
            let now = Instant::now();
            let mut facts = self.facts.borrow_mut();
            facts.longest_pause = facts.longest_pause.max(now - self.last.replace(now));
            let Echo { name, client, payload } = Echo::parse(&answer)?;
            let expected = format!("line {}", facts.received + facts.wrong);
            if payload == expected.as_bytes() {
                facts.received += 1;
            } else {
                facts.wrong += 1;
            }
            if facts.server.is_none() {
                facts.server = Some(name.to_owned());
                facts.seen = Some(client);
            }
        }
    }

    fn end(&self, error: &anyhow::Error) {
        self.facts.borrow_mut().ended = Some(reason(error));
    }

    /// The facts with the pause that is going on.
    fn facts(&self) -> SteadyFacts {
        let mut facts = self.facts.borrow().clone();
        if facts.ended.is_none() && !self.stopped.get() {
            facts.longest_pause = facts.longest_pause.max(self.last.get().elapsed());
        }
        facts
    }
}
