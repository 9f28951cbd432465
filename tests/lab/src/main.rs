//! The lab's command line: the demo, what to do with labs that are kept, and the workers inside pods.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lab::worker::{self, ServeOptions};
use lab::{Lab, LabId, LabSpec, PodSpec, bench, demo, leaks};
use nix::sched::{CloneFlags, setns};

/// Nodes and pods on one machine, to watch ferrule at work.
#[derive(Debug, Parser)]
#[command(name = "ferrule-lab")]
struct Args {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Shows a Service balanced, changed under load and kept over a crash; needs root.
    Demo {
        /// Leave the lab up at the end and print how to enter it.
        #[arg(long)]
        keep: bool,
    },
    /// Makes a lab with a server and a client on each node and holds it until Ctrl-C; needs root.
    Up,
    /// Lists what a lab could leave: compare before and after.
    Leaks,
    /// Lists the labs of this machine and their pods and nodes.
    List,
    /// Runs a command in a pod or a node's host network of a lab.
    Exec {
        /// Id of the lab.
        lab: String,
        /// `namespace.pod` or node, as `list` shows it.
        place: String,
        /// The command.
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
    /// Takes a kept lab down.
    Down {
        /// Id of the lab.
        lab: String,
    },
    /// The server of a pod.
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        name: String,
        #[arg(long)]
        port: u16,
        #[arg(long)]
        grace_ms: u64,
    },
    /// The client of a pod.
    #[command(hide = true)]
    Client,
    /// The DNS server outside the cluster.
    #[command(hide = true)]
    Upstream,
    /// An echo server that says who asked whom.
    #[command(hide = true)]
    Echo {
        #[arg(long)]
        name: String,
        #[arg(long = "port")]
        ports: Vec<u16>,
    },
    /// Asks echo servers.
    #[command(hide = true)]
    Probe,
    /// Keeps one connection busy.
    #[command(hide = true)]
    Steady {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        interval_us: u64,
    },
    /// Opens many connections.
    #[command(hide = true)]
    Mass,
    /// Sends before there is a network.
    #[command(hide = true)]
    Early {
        #[arg(long = "to")]
        targets: Vec<SocketAddr>,
    },
    /// Measures what ferrule costs and how fast it is; needs root and a release build.
    Bench(bench::Options),
    /// The server that benchmarks dial.
    #[command(hide = true)]
    BenchServe {
        #[arg(long)]
        port: u16,
    },
    /// The bare echo that DNS is measured beside.
    #[command(hide = true)]
    BenchEcho {
        #[arg(long)]
        port: u16,
    },
    /// The client of benchmarks.
    #[command(hide = true)]
    BenchClient,
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Sub) -> Result<ExitCode> {
    match command {
        Sub::Demo { keep } => return demo::run(keep),
        Sub::Up => up()?,
        Sub::Leaks => leaks::list()?.iter().for_each(|line| println!("{line}")),
        Sub::List => {
            for id in lab::lab_ids()? {
                println!("{id}");
                lab::place_names(&id)?.iter().for_each(|place| println!("  {place}"));
            }
        }
        Sub::Exec { lab, place, command } => exec(&LabId::parse(&lab)?, &place, &command)?,
        Sub::Down { lab } => lab::take_down(&LabId::parse(&lab)?)?,
        Sub::Serve { name, port, grace_ms } => {
            worker::serve(&ServeOptions { name, port, grace: Duration::from_millis(grace_ms) })?;
        }
        Sub::Client => worker::client()?,
        Sub::Upstream => worker::upstream()?,
        Sub::Echo { name, ports } => worker::echo(&name, &ports)?,
        Sub::Probe => worker::probe()?,
        Sub::Steady { to, interval_us } => worker::steady(to, Duration::from_micros(interval_us))?,
        Sub::Mass => worker::mass()?,
        Sub::Early { targets } => worker::early(&targets)?,
        Sub::Bench(options) => bench::run(&options)?,
        Sub::BenchServe { port } => bench::serve(port)?,
        Sub::BenchClient => bench::client()?,
        Sub::BenchEcho { port } => bench::echo(port)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Holds a lab until a signal takes it away.
fn up() -> Result<()> {
    lab::take_down_on_signals()?;
    let lab = Lab::new(LabSpec::default())?;
    let mut pods = Vec::new();
    for node in lab.nodes() {
        pods.push(node.add_pod(PodSpec::server("default", &format!("server-{}", node.name()), 3000))?);
        pods.push(node.add_pod(PodSpec::idle("default", &format!("client-{}", node.name())))?);
    }
    println!("lab {}, until Ctrl-C", lab.id());
    for pod in &pods {
        println!("  {} {} {}", pod.place(), pod.address().v4, pod.address().v6);
    }
    loop {
        std::thread::park();
    }
}

/// Becomes the command inside the place. The cgroup comes first: sockets belong to the one they are opened in.
fn exec(id: &LabId, place: &str, command: &[OsString]) -> Result<()> {
    let place = lab::find_place(id, place)?;
    place.cgroup.enter()?;
    let netns = File::open(&place.netns).with_context(|| format!("opening {}", place.netns.display()))?;
    setns(&netns, CloneFlags::CLONE_NEWNET).context("entering the network namespace")?;
    if let Some(etc) = place.etc {
        etc.enter()?;
    }
    let (program, args) = command.split_first().context("no command")?;
    Err(Command::new(program).args(args).exec()).with_context(|| format!("running {}", program.display()))
}
