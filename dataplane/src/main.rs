//! `ferrule`: parse, start logging, run.

use std::process::ExitCode;

use anyhow::Context;
use dataplane::args::{Command, Parsed, RunArgs, parse};
use dataplane::cleanup::Cleaned;
use dataplane::{agent, check_kernel, cleanup, client, logging, preflight};

fn main() -> ExitCode {
    match parse(std::env::args_os()) {
        Parsed::Command(command) => execute(command).unwrap_or_else(|error| fail(&error.to_string(), 1)),
        Parsed::Text(text) => {
            client::print(&text);
            ExitCode::SUCCESS
        }
        Parsed::Wrong(line) => fail(line.trim_start_matches("error: "), 2),
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => return run(*args),
        Command::Cleanup(args) => {
            if let Err(error) =
                preflight::capabilities().and_then(|()| preflight::bpffs(&args.roots.bpf_root))
            {
                return Ok(fail(&error.to_string(), error.exit_code()));
            }
            match cleanup::run(&args.roots.bpf_root, &args.roots.state_dir)? {
                Cleaned::Removed => client::print("links and maps removed\n"),
                Cleaned::Nothing => client::print("nothing to remove\n"),
            }
        }
        Command::CheckKernel => {
            let (report, is_ok) = check_kernel::run()?;
            client::print(&report);
            return Ok(ExitCode::from(u8::from(!is_ok)));
        }
        Command::Status(args) => client::status(&args)?,
        Command::Services(args) => client::services(&args)?,
        Command::Endpoints(args) => client::endpoints(&args)?,
        Command::Maps(args) => client::maps(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    logging::init(&args.logging);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let result = args.into_config().and_then(|config| runtime.block_on(agent::run(config)));
    runtime.shutdown_background();
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.exit_code()),
    })
}

/// Complains in one line: of a verifier's log the first and the last, the rest by `-v 4`.
fn fail(text: &str, code: u8) -> ExitCode {
    tracing::debug!(error = text, "ending");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = match lines.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, .., last] => format!("{first} … {last}"),
    };
    client::complain(&format!("error: {line}\n"));
    ExitCode::from(code)
}
