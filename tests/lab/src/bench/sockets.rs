//! What a Service costs a socket: the same traffic straight to the endpoints and through the ClusterIP.

mod tables;

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::driver::processor_time;
use super::field::{Field, SERVICES, Side};
use super::hooks::{self, HookTime};
use super::order::{BARE_PORT, Order, Placed, Targets, Traffic};
use super::progress;
use super::report::Section;
use super::stats::Summary;

/// Arms take turns this often in a round: what disturbs the machine meets them all.
const SLICES: u32 = 4;
/// Length of a turn; with [`SLICES`] a round of an arm is one second.
const SLICE: Duration = Duration::from_millis(250);

/// How a request goes to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Path {
    /// To an endpoint, client and server in cgroups without programs: what the kernel alone costs.
    Bare,
    /// To an endpoint, from a pod: the programs look and find no Service.
    Direct,
    /// To the ClusterIP, from a pod.
    ClusterIp,
}

impl Path {
    const ALL: [Self; 3] = [Self::Bare, Self::Direct, Self::ClusterIp];

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Direct => "direct",
            Self::ClusterIp => "ClusterIP",
        }
    }
}

/// Which Services are dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Spread {
    /// One of ten endpoints, over and over.
    One,
    /// All of the node, in random order.
    All,
    /// One whose endpoints are on the other node.
    Across,
}

/// One kind of traffic, whose arms take turns.
#[derive(Clone, Copy, Debug, Serialize)]
struct Contest {
    name: &'static str,
    #[serde(skip)]
    traffic: Traffic,
    placed: Placed,
    spread: Spread,
}

const CONTESTS: [Contest; 10] = [
    many("TCP ×32, one processor, one Service", Placed::WithServer, Spread::One),
    many("TCP ×32, one processor, all Services", Placed::WithServer, Spread::All),
    many("TCP ×32, two processors, one Service", Placed::Apart, Spread::One),
    many("TCP ×32, two processors, all Services", Placed::Apart, Spread::All),
    many("TCP ×32, two processors, to the other node", Placed::Apart, Spread::Across),
    one("TCP, one connection", Traffic::TcpPing, Spread::One),
    one("UDP, one connected socket", Traffic::UdpPingConnected, Spread::One),
    one("UDP, one unconnected socket", Traffic::UdpPingUnconnected, Spread::One),
    one("UDP, a new socket a request, one Service", Traffic::UdpSockets, Spread::One),
    one("UDP, a new socket a request, all Services", Traffic::UdpSockets, Spread::All),
];

/// Many connections at a time.
const fn many(name: &'static str, placed: Placed, spread: Spread) -> Contest {
    Contest { name, traffic: Traffic::Connections, placed, spread }
}

/// One request at a time: one end waits while the other works, and on two processors it would be their waking up that
/// is measured.
const fn one(name: &'static str, traffic: Traffic, spread: Spread) -> Contest {
    Contest { name, traffic, placed: Placed::WithServer, spread }
}

impl Contest {
    /// What a turn of it is.
    fn order(&self, to: Targets) -> Order {
        Order { traffic: self.traffic, placed: self.placed, to, time: SLICE }
    }
}

/// One arm of a contest: a path on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arm {
    side: usize,
    path: Path,
}

/// What an arm came to in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    operations: u64,
    elapsed: Duration,
    processor: Duration,
    /// Sums over the turns, of which there are [`SLICES`].
    p50_ns: f64,
    p99_ns: f64,
}

impl Round {
    /// Requests in a second.
    fn rate(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of both ends' processors for a request.
    fn cost_us(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.operations as f64
    }
}

/// What a contest came to on one node.
#[derive(Debug, Serialize)]
struct Finding {
    #[serde(flatten)]
    contest: Contest,
    services: u32,
    /// By path, in the order of [`Path::ALL`].
    rate: [Summary; 3],
    p50_us: [Summary; 3],
    p99_us: [Summary; 3],
    cost_us: [Summary; 3],
    /// ClusterIP to direct.
    rate_to_direct: Summary,
    cost_to_direct: Summary,
    /// ClusterIP to bare.
    rate_to_bare: Summary,
    cost_to_bare: Summary,
    /// The ratio to direct with many Services to that with few, on the second node.
    many_to_few: Option<Summary>,
    hooks: Vec<(Path, HookTime)>,
}

/// Measures all contests.
pub(super) fn run(rounds: u32) -> Result<Section> {
    progress(&format!("making two nodes, with {} and {} Services", SERVICES[0], SERVICES[1]));
    let mut field = Field::new()?;
    let mut found = Vec::new();
    for contest in CONTESTS {
        progress(contest.name);
        let measured = measure(&mut field, contest, rounds)?;
        for (index, side) in field.sides.iter_mut().enumerate() {
            let mut hooks = Vec::new();
            for path in [Path::Direct, Path::ClusterIp] {
                let order = contest.order(targets(side, contest.spread, path));
                let times =
                    hooks::times(&side.node.clone(), || Ok(side.client.carry_out(&order)?.operations))?;
                hooks.extend(times.into_iter().map(|time| (path, time)));
            }
            found.push(evaluate(contest, index, &measured, hooks));
        }
    }
    let tables = tables::of(&found, rounds);
    let json = json!({
        "rounds": rounds,
        "round_seconds": (SLICE * SLICES).as_secs_f64(),
        "turns_in_a_round": SLICES,
        "findings": found,
    });
    Ok(Section { title: "Sockets", tables, json })
}

/// The arms of a contest with their rounds.
type Measured = Vec<(Arm, Vec<Round>)>;

fn measure(field: &mut Field, contest: Contest, rounds: u32) -> Result<Measured> {
    let arms = (0..field.sides.len()).flat_map(|side| Path::ALL.map(|path| Arm { side, path }));
    let mut measured: Measured = arms.map(|arm| (arm, Vec::new())).collect();
    for (arm, _) in &measured {
        // The first turns fill caches and are not counted.
        turn(field, contest, *arm)?;
    }
    for _ in 0..rounds {
        let mut round = vec![Round::default(); measured.len()];
        for slice in 0..SLICES {
            let forth = 0..measured.len();
            // There and back, so that a drift of the machine cancels out.
            let order: Vec<usize> = if slice % 2 == 0 { forth.collect() } else { forth.rev().collect() };
            for index in order {
                let (arm, _) = &measured[index];
                let done = turn(field, contest, *arm).with_context(|| format!("{} {arm:?}", contest.name))?;
                round[index].add(&done);
            }
        }
        measured.iter_mut().zip(round).for_each(|((_, rounds), round)| rounds.push(round));
    }
    Ok(measured)
}

impl Round {
    fn add(&mut self, turn: &Self) {
        self.operations += turn.operations;
        self.elapsed += turn.elapsed;
        self.processor += turn.processor;
        self.p50_ns += turn.p50_ns;
        self.p99_ns += turn.p99_ns;
    }
}

/// One turn of an arm.
fn turn(field: &mut Field, contest: Contest, arm: Arm) -> Result<Round> {
    let at = if contest.spread == Spread::Across { 1 - arm.side } else { arm.side };
    let server = match arm.path {
        Path::Bare => &field.sides[at].bare_server,
        Path::Direct | Path::ClusterIp => &field.sides[at].server,
    };
    let server = server.clone();
    let side = &mut field.sides[arm.side];
    let order = contest.order(targets(side, contest.spread, arm.path));
    let driver = match arm.path {
        Path::Bare => &mut side.bare_client,
        Path::Direct | Path::ClusterIp => &mut side.client,
    };
    let used = |driver: &super::driver::Driver| -> Result<Duration> {
        Ok(processor_time(driver.cgroup())? + processor_time(&server)?)
    };
    let before = used(driver)?;
    let done = driver.carry_out(&order)?;
    Ok(Round {
        operations: done.operations,
        elapsed: done.elapsed,
        processor: used(driver)? - before,
        p50_ns: f64::from(done.p50_ns),
        p99_ns: f64::from(done.p99_ns),
    })
}

/// What an arm dials.
fn targets(side: &Side, spread: Spread, path: Path) -> Targets {
    match (path, spread) {
        (Path::ClusterIp, Spread::One) => side.one_vip(),
        (Path::ClusterIp, Spread::All) => side.vips,
        (Path::ClusterIp, Spread::Across) => side.across_vip(),
        (Path::Direct, Spread::One) => side.its_endpoints(),
        (Path::Direct, Spread::All) => side.endpoints,
        (Path::Direct, Spread::Across) => side.across_endpoints,
        (Path::Bare, _) => Targets { port: BARE_PORT, ..targets(side, spread, Path::Direct) },
    }
}

fn evaluate(contest: Contest, side: usize, measured: &Measured, hooks: Vec<(Path, HookTime)>) -> Finding {
    let rounds = |side: usize, path: Path| -> &[Round] {
        let arm = measured.iter().find(|(arm, _)| *arm == Arm { side, path });
        arm.map_or(&[], |(_, rounds)| rounds.as_slice())
    };
    let by_path = |value: &dyn Fn(&Round) -> f64| {
        Path::ALL.map(|path| Summary::of(rounds(side, path).iter().map(value)))
    };
    let ratios = |side: usize, to: Path, value: fn(&Round) -> f64| -> Vec<f64> {
        let (a, b) = (rounds(side, to), rounds(side, Path::ClusterIp));
        a.iter().zip(b).map(|(a, b)| value(b) / value(a)).collect()
    };
    let ratio = |to: Path, value: fn(&Round) -> f64| Summary::of(ratios(side, to, value));
    let turns = f64::from(SLICES);
    let many_to_few = (side > 0).then(|| {
        let (few, many) = (ratios(0, Path::Direct, Round::rate), ratios(side, Path::Direct, Round::rate));
        Summary::of(few.iter().zip(many).map(|(few, many)| many / few))
    });
    Finding {
        contest,
        services: SERVICES[side],
        rate: by_path(&Round::rate),
        p50_us: by_path(&|round| round.p50_ns / turns / 1e3),
        p99_us: by_path(&|round| round.p99_ns / turns / 1e3),
        cost_us: by_path(&Round::cost_us),
        rate_to_direct: ratio(Path::Direct, Round::rate),
        cost_to_direct: ratio(Path::Direct, Round::cost_us),
        rate_to_bare: ratio(Path::Bare, Round::rate),
        cost_to_bare: ratio(Path::Bare, Round::cost_us),
        many_to_few,
        hooks,
    }
}
