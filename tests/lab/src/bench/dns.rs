//! DNS queries a second on one processor, beside a bare echo of datagrams in the same turns.
//!
//! The server is `ferrule dns serve` with one worker, the echo a loop of `recv_from` and `send_to` in a process of its
//! own; both are kept on the first processor, the client on the second. The client keeps [`WINDOW`] queries under way
//! over [`SOCKETS`] connected sockets. Beside the rates stand the servers' processor times per answer: where the
//! client is what is slow they are the truer numbers.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde_json::json;

use super::progress;
use super::report::{Section, Table};
use super::stats::{Summary, thousands};
use crate::{binaries, wait};

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;
/// Queries under way at once.
const WINDOW: usize = 64;
const SOCKETS: usize = 4;
/// One turn.
const TURN: Duration = Duration::from_millis(500);
const READY: Duration = Duration::from_secs(60);
/// A query that was lost is not waited for any longer.
const LOST: Duration = Duration::from_millis(50);

/// What is asked.
struct Arm {
    name: &'static str,
    port: u16,
    pid: u32,
    queries: Vec<Vec<u8>>,
    rates: Vec<f64>,
    answers: u64,
    processor: Duration,
}

pub(super) fn run(rounds: u32) -> Result<Section> {
    progress("dns: a server with 10,000 Services, an echo");
    let dir = Dir::new()?;
    let (dns_port, echo_port) = (free_port()?, free_port()?);
    let server = Server::start(
        &binaries::ferrule()?,
        &[
            "dns",
            "serve",
            "--manifests",
            &dir.0.display().to_string(),
            "--listen",
            &format!("127.0.0.1:{dns_port}"),
        ],
    )?;
    let echo = Server::start(&binaries::lab()?, &["bench-echo", "--port", &echo_port.to_string()])?;
    pin(Pid::from_raw(0), 1)?;
    let mut arms = arms(dns_port, &server, echo_port, &echo);
    wait::until("the server to know everything", READY, || is_found(dns_port))?;
    for round in 0..rounds {
        progress(&format!("dns: round {} of {rounds}", round + 1));
        // There and back, so that a drift of the machine meets all alike.
        let order: Vec<usize> = (0..arms.len()).chain((0..arms.len()).rev()).collect();
        for index in order {
            let arm = &mut arms[index];
            let (answers, before) = (ask(arm)?, arm.answers);
            arm.answers = before + answers.count;
            arm.processor += answers.processor;
            arm.rates.push(answers.count as f64 / answers.took.as_secs_f64());
        }
    }
    section(&arms, &server)
}

fn arms(dns_port: u16, server: &Server, echo_port: u16, echo: &Server) -> Vec<Arm> {
    let name = |i: u32| format!("svc-{i}.ns-{}.svc.cluster.local.", i % 100);
    // Spread over all of them.
    let spread = |n: u32| (0..n).map(|i| i.wrapping_mul(7919) % SERVICES);
    let existing: Vec<_> = spread(2000).map(|i| packet(&name(i), RecordType::A)).collect();
    // What a pod with ndots:5 asks before `www.example.org`.
    let search = ["ns-1.svc.cluster.local.", "svc.cluster.local.", "cluster.local."];
    let missing: Vec<_> = spread(600)
        .flat_map(|i| {
            search.map(|suffix| packet(&format!("www.host-{i}.example.org.{suffix}"), RecordType::A))
        })
        .collect();
    let mixed = spread(500).flat_map(|i| {
        [
            packet(&name(i), RecordType::A),
            packet(&name(i), RecordType::AAAA),
            packet(&format!("_http._tcp.{}", name(i)), RecordType::SRV),
            packet(&format!("www.example.org.{}", search[(i % 3) as usize]), RecordType::A),
        ]
    });
    let arm = |name, port, server: &Server, queries| Arm {
        name,
        port,
        pid: server.0.id(),
        queries,
        rates: Vec::new(),
        answers: 0,
        processor: Duration::ZERO,
    };
    vec![
        arm("echo", echo_port, echo, existing.clone()),
        arm("existing names", dns_port, server, existing),
        arm("NXDOMAIN by search path", dns_port, server, missing),
        arm("mixed", dns_port, server, mixed.collect()),
    ]
}

fn section(arms: &[Arm], server: &Server) -> Result<Section> {
    let mut table = Table::new(
        format!(
            "Answers a second on one processor, {SERVICES} Services with {ENDPOINTS} endpoints, {WINDOW} under way; ratios to the echo of the same turns."
        ),
        &["asked", "answers/s", "of the echo (min to max)", "µs of processor each", "of the echo's"],
    );
    let echo = arms.first().context("no echo")?;
    let each = |arm: &Arm| arm.processor.as_secs_f64() * 1e6 / arm.answers.max(1) as f64;
    let mut all = Vec::new();
    for arm in arms {
        let ratios: Vec<f64> = arm.rates.iter().zip(&echo.rates).map(|(rate, echo)| rate / echo).collect();
        table.row([
            arm.name.to_owned(),
            thousands(Summary::of(arm.rates.iter().copied()).median),
            Summary::of(ratios.iter().copied()).as_ratio(),
            format!("{:.2}", each(arm)),
            format!("{:.2}", each(echo) / each(arm)),
        ]);
        all.push(json!({"asked": arm.name, "rates": arm.rates, "ratios": ratios, "processor_us": each(arm)}));
    }
    let resident = resident_kib(server.0.id())?;
    table.caption.push_str(&format!(" The server holds {:.0} MiB.", resident as f64 / 1024.0));
    Ok(Section { title: "dns", tables: vec![table], json: json!({"arms": all, "resident_kib": resident}) })
}

struct Answers {
    count: u64,
    took: Duration,
    processor: Duration,
}

/// One turn: as many queries as are answered.
fn ask(arm: &Arm) -> Result<Answers> {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, arm.port));
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(LOST))?;
        sockets.push(socket);
    }
    let mut next = arm.queries.iter().cycle();
    let mut send = |socket: &UdpSocket| socket.send(next.next().map_or(&[][..], Vec::as_slice)).map(drop);
    let each = WINDOW / SOCKETS;
    for socket in &sockets {
        for _ in 0..each {
            send(socket)?;
        }
    }
    let mut buffer = [0; 2048];
    let (processor, began, mut count, mut lost) = (processor_time(arm.pid)?, Instant::now(), 0, 0);
    while began.elapsed() < TURN {
        for socket in &sockets {
            for _ in 0..each {
                match socket.recv(&mut buffer) {
                    Ok(_) => count += 1,
                    Err(_) => lost += 1,
                }
                send(socket)?;
            }
        }
    }
    ensure!(lost * 100 < count, "{}: {lost} queries were lost", arm.name);
    Ok(Answers {
        count,
        took: began.elapsed(),
        processor: processor_time(arm.pid)?.saturating_sub(processor),
    })
}

fn packet(name: &str, record_type: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap_or_default(), record_type));
    message.to_vec().unwrap_or_default()
}

/// Whether the last Service resolves.
fn is_found(port: u16) -> Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.send(&packet("svc-9999.ns-99.svc.cluster.local.", RecordType::A))?;
    let mut answer = [0; 512];
    let Ok(length) = socket.recv(&mut answer) else { return Ok(false) };
    Ok(length > 8 && answer[7] == 1)
}

fn free_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn pin(pid: Pid, processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)?;
    sched_setaffinity(pid, &set).context("this needs two processors")
}

/// Processor time of a process so far: user and system (fields 14 and 15 of proc_pid_stat(5)).
fn processor_time(pid: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let a_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
    Ok(Duration::from_secs_f64(ticks as f64 / a_second as f64))
}

fn resident_kib(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).context("no VmRSS")
}

/// A server on the first processor; it ends with this value.
struct Server(Child);

impl Server {
    fn start(program: &std::path::Path, args: &[&str]) -> Result<Self> {
        // Inherited: a server counts the processors that it may use when it starts.
        pin(Pid::from_raw(0), 0)?;
        let child = Command::new(program).args(args).stdin(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("starting {}", program.display()))?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The folder, gone when dropped.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Result<Self> {
        let dir = Self(std::env::temp_dir().join(format!("ferrule-bench-dns-{}", std::process::id())));
        std::fs::create_dir_all(&dir.0)?;
        let mut text = String::new();
        for i in 0..SERVICES {
            let (name, namespace) = (format!("svc-{i}"), format!("ns-{}", i % 100));
            let ip = Ipv4Addr::from(0x0a60_0100 + i);
            write!(
                text,
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {{clusterIP: {ip}, ports: [{{name: http, port: 80}}]}}\n---\n\
                 apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}\n\
                 addressType: IPv4\nports: [{{name: http, port: 3000}}]\nendpoints:\n"
            )?;
            for k in 0..ENDPOINTS {
                writeln!(text, "- {{addresses: [{}]}}", Ipv4Addr::from(0x0ac8_0000 + i * ENDPOINTS + k))?;
            }
            text.push_str("---\n");
        }
        std::fs::write(dir.0.join("services.yaml"), text)?;
        Ok(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The echo: what a datagram costs without any thought.
///
/// # Errors
///
/// The port is taken, or the socket fails.
pub fn echo(port: u16) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(buffer.get(..length).unwrap_or_default(), from)?;
    }
}
