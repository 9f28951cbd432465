//! `ferrule`: parse, start logging, run.

use std::process::ExitCode;

use anyhow::Context;
use dataplane::args::{Command, DnsCommand, DnsServeArgs, Parsed, RunArgs, parse};
use dataplane::cleanup::Cleaned;
use dataplane::start_error::StartError;
use dataplane::{agent, check_kernel, cleanup, client, dns, logging, preflight};

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
            // First what a running daemon refuses; nothing is removed then.
            let kernel = cleanup::run(&args.roots.bpf_root, &args.roots.state_dir)?;
            let dns = runtime()?.block_on(cleanup::run_dns(&args.roots.state_dir))?;
            match (kernel, dns) {
                (Cleaned::Nothing, Cleaned::Nothing) => client::print("nothing to remove\n"),
                (Cleaned::Removed, Cleaned::Nothing) => client::print("links and maps removed\n"),
                (Cleaned::Nothing, Cleaned::Removed) => {
                    client::print("DNS process and its addresses removed\n")
                }
                (Cleaned::Removed, Cleaned::Removed) => {
                    client::print("links and maps, DNS process and its addresses removed\n");
                }
            }
        }
        Command::CheckKernel => {
            let (report, is_ok) = check_kernel::run()?;
            client::print(&report);
            return Ok(ExitCode::from(u8::from(!is_ok)));
        }
        Command::Dns(DnsCommand::Serve(args)) => return serve_dns(args),
        Command::Dns(DnsCommand::Child(args)) => {
            logging::init(&args);
            dns::run_child()?;
        }
        Command::Dns(DnsCommand::Status(args)) => client::dns(&args)?,
        Command::Status(args) => client::status(&args)?,
        Command::Services(args) => client::services(&args)?,
        Command::Endpoints(args) => client::endpoints(&args)?,
        Command::Maps(args) => client::maps(&args)?,
        Command::Policies(args) => client::policies(&args)?,
        Command::Pods(args) => client::pods(&args)?,
        Command::Flows(args) => client::flows(&args)?,
        Command::Explain(args) => {
            if !client::explain(&args)? {
                return Ok(ExitCode::from(client::DISAGREE));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn serve_dns(args: DnsServeArgs) -> anyhow::Result<ExitCode> {
    logging::init(&args.logging);
    let Some(config) = args.into_config() else {
        return Ok(fail(
            "--kubeconfig: not yet: this version follows a folder of manifests only, give one with --manifests",
            2,
        ));
    };
    block_on(dns::serve::run(config))
}

fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    logging::init(&args.logging);
    block_on(async { agent::run(args.into_config()?).await })
}

fn block_on(work: impl Future<Output = Result<(), StartError>>) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.exit_code()),
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("starting the runtime")
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
