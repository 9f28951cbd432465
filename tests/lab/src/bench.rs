//! Benchmarks: what ferrule costs a socket, and how fast a change of the cluster is in force.
//!
//! Everything that is compared runs in one lab in turns, A B A B, with the real daemon of the release build; a number
//! is a median over rounds, a ratio the median of the rounds' own ratios. No number makes a run fail. A suite is one
//! module that returns a [`report::Section`]; to add one, add it to [`Suite`].
//!
//! ```text
//!   node-1, few Services        node-2, many Services
//!   client ─┐  ┌─ server        client ─┐  ┌─ server      everything pinned; see [`worker`]
//!   bare ───┴──┴─ bare          bare ───┴──┴─ bare        bare: in the pods' networks, outside the programs' cgroup
//! ```

mod compile;
mod dns;
mod driver;
mod field;
mod hooks;
mod machine;
mod order;
mod programming;
mod report;
mod sockets;
mod stats;
mod worker;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use machine::Machine;
use report::Section;
use serde_json::{Map, Value, json};

use crate::interrupt;

pub use dns::echo;
pub use worker::{client, serve};

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Which suite; all without.
    #[arg(value_enum)]
    suite: Option<Suite>,
    /// How often everything is measured.
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// A group of benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Connections and requests, directly and through a ClusterIP.
    Sockets,
    /// Compiling, and the time from a changed file to the kernel's map.
    Compile,
    /// DNS queries a second on one processor, beside a bare echo.
    Dns,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Compile => "compile",
            Self::Dns => "dns",
        }
    }

    fn run(self, rounds: u32) -> Result<Section> {
        match self {
            Self::Sockets => sockets::run(rounds),
            Self::Compile => compile::run(rounds),
            Self::Dns => dns::run(rounds),
        }
    }
}

/// Measures and prints.
///
/// # Errors
///
/// A lab could not be made, or a request got no answer: a benchmark that loses requests measures something else.
pub fn run(options: &Options) -> Result<()> {
    ensure!(!cfg!(debug_assertions), "a debug build says nothing: cargo xtask bench builds for release");
    interrupt::take_down_on_signals()?;
    let machine = Machine::look();
    let suites = options.suite.as_ref().map_or(Suite::value_variants(), std::slice::from_ref);
    let mut all = Map::from_iter([("machine".to_owned(), json!(machine))]);
    if !options.json {
        println!("{machine}");
    }
    for suite in suites {
        let section = suite.run(options.rounds);
        if interrupt::is_interrupted() {
            // The lab is on its way out and the process with it, so what failed says nothing.
            loop {
                std::thread::park();
            }
        }
        let section = section?;
        if !options.json {
            println!("\n{section}");
        }
        all.insert(suite.name().to_owned(), section.json);
    }
    if options.json {
        println!("{:#}", Value::Object(all));
    }
    Ok(())
}

/// Says on standard error what is being done.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}
