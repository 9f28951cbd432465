//! Names: the Service and its pods by name, names of the world outside, and a DNS server that dies under load.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::app::App;
use super::report::{Finding, Report, count, ms, us};
use super::spread::client;
use super::{CHANGE_LIMIT, FERRULE_ARGS, READY_LIMIT};
use crate::dns_workload::{DnsTally, DnsWorkload, Pace, Question};
use crate::etc::CLUSTER_DNS;
use crate::lab::Lab;
use crate::outside::Outside;
use crate::pod::Pod;
use crate::wait;
use crate::workload::{Dial, Workload};

const SERVICE: &str = "backend-api-svc.production.svc.cluster.local";
const HEADLESS: &str = "backend-api-pods.production.svc.cluster.local";
/// Queries a second while something dies.
const RATE: u32 = 1000;
/// Answers before, between and after deaths.
const ANSWERS: u64 = 500;
/// How often the DNS process is killed.
const KILLS: u64 = 3;

pub(super) fn show(report: &mut Report, lab: &Lab, outside: &Outside, app: &App) -> Result<()> {
    report.step("backend-api-svc by name, short and full, A and AAAA", |_| {
        let ip = app.cluster_ip();
        let (mut right, mut asked) = (0, 0);
        let begun = Instant::now();
        for pod in app.clients() {
            for name in ["backend-api-svc", "backend-api-svc.production", SERVICE] {
                for (database, wanted) in [("ahostsv4", IpAddr::from(ip.v4)), ("ahostsv6", ip.v6.into())] {
                    asked += 1;
                    right += u32::from(resolve(pod, database, name)? == Some(wanted));
                }
            }
        }
        let each = begun.elapsed() / asked;
        Ok(Finding::new(right == asked, format!("{right} of {asked} right, {} each", ms(each))))
    })?;
    report.step("Dialled by name: http://backend-api-svc", |_| {
        let pod = app.clients().first().context("no client")?;
        let ip = resolve(pod, "ahostsv4", "backend-api-svc")?.context("it does not resolve")?;
        let tally = pod.client().run(Workload::new(Dial::Tcp, (ip, 80)), 10)?;
        let answers: u64 = tally.answered.values().sum();
        Ok(Finding::new(
            answers == 10,
            format!("{ip}: {answers} of 10 answered, by {} pods", tally.answered.len()),
        ))
    })?;
    report.step("SRV of its port, PTR of its address, over UDP and TCP", |_| {
        let questions = [
            Question::new(&format!("_http._tcp.{SERVICE}"), "SRV"),
            Question::new("10.44.96.10.in-addr.arpa", "PTR"),
        ];
        let mut good = 0;
        for transport in [crate::DnsTransport::UdpNewSocket, crate::DnsTransport::Tcp] {
            let tally = client(app, 1)?.run_dns(workload(&questions).over(transport), 4)?;
            good += tally.with_code("NOERROR") - tally.no_data;
        }
        Ok(Finding::new(good == 8, format!("{good} of 8 answered")))
    })?;
    headless(report, lab, app)?;
    report.step("A name outside is forwarded, one that is missing is missing", |_| {
        let questions = [Question::new("www.example.org", "A"), Question::new("missing.example.org", "A")];
        let upstream = outside.upstream()?;
        let before = upstream.queries()?.len();
        let tally = client(app, 0)?.run_dns(workload(&questions), 20)?;
        let right = tally.with_code("NOERROR") == 10 && tally.with_code("NXDOMAIN") == 10;
        let holds = right && upstream.queries()?.len() > before;
        Ok(Finding::new(holds, format!("10 found, 10 missing, p50 {}", us(tally.answer_time.p50_us))))
    })?;
    deaths(report, lab, app)
}

/// The first address that the C library gives, if any.
fn resolve(pod: &Pod, database: &str, name: &str) -> Result<Option<IpAddr>> {
    let out = pod.command(&["getent", database, name])?;
    Ok(out.stdout.split_whitespace().next().and_then(|word| word.parse().ok()))
}

fn workload(questions: &[Question]) -> DnsWorkload {
    DnsWorkload::new(SocketAddr::new(CLUSTER_DNS, 53), questions)
}

fn headless(report: &mut Report, lab: &Lab, app: &App) -> Result<()> {
    let write = |addrs: &[IpAddr]| {
        let endpoints: String = addrs.iter().map(|addr| format!("  - {{addresses: [{addr}]}}\n")).collect();
        lab.manifests().write(
            "backend-api-pods.yaml",
            &format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: backend-api-pods, namespace: production}}\n\
                 spec: {{clusterIP: None, ports: [{{name: http, port: 3000}}]}}\n---\n\
                 apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: backend-api-pods-1, namespace: production, labels: {{kubernetes.io/service-name: backend-api-pods}}}}\n\
                 addressType: IPv4\nendpoints:\n{endpoints}ports: [{{name: http, port: 3000}}]\n"
            ),
        )
    };
    report.step("A headless Service: endpoint changes, the answer follows", |_| {
        let addrs: Vec<IpAddr> = app.pods().iter().map(|pod| pod.address().v4.into()).collect();
        let [first, rest @ ..] = addrs.as_slice() else { anyhow::bail!("no pods") };
        write(&[*first])?;
        let asking = workload(&[Question::new(HEADLESS, "A")]).pace(Pace::PerSecond(RATE));
        let load = client(app, 0)?.start_dns(asking)?;
        let told = |addr: IpAddr| {
            let before = load.sample()?.addresses.get(&addr).copied().unwrap_or_default();
            wait::until("the new answer", CHANGE_LIMIT, || {
                Ok(load.sample()?.addresses.get(&addr).copied().unwrap_or_default() > before)
            })
        };
        told(*first)?;
        let second = rest.first().context("one pod only")?;
        let begun = Instant::now();
        write(&[*second])?;
        told(*second)?;
        let took = begun.elapsed();
        let tally = load.stop()?;
        Ok(Finding::new(
            tally.failures() == 0,
            format!("{} after the file changed; {} answers", ms(took), count(tally.answers())),
        ))
    })
}

fn deaths(report: &mut Report, lab: &Lab, app: &App) -> Result<()> {
    let asking = || {
        workload(&[Question::new(SERVICE, "A")]).pace(Pace::PerSecond(RATE)).timeout(Duration::from_secs(2))
    };
    let node = lab.nodes().first().context("no node")?;
    report.step("1,000 names a second: DNS process killed three times", |progress| {
        let load = client(app, 0)?.start_dns(asking())?;
        let answers = || more(&load);
        answers()?;
        for number in 1..=KILLS {
            progress.note(format!("kill {number} of {KILLS}"));
            let pid = node.ferrule_child_pid()?.context("no DNS process")?;
            kill(Pid::from_raw(pid), Signal::SIGKILL)?;
            answers()?;
        }
        let tally = load.stop()?;
        // A query that a killed process had read is asked again, as every resolver does.
        Ok(Finding::new(tally.failures() <= KILLS && whole(&tally), describe(&tally)))
    })?;
    report.step("1,000 names a second: daemon killed -9 and started again", |progress| {
        let load = client(app, 0)?.start_dns(asking())?;
        let answers = || more(&load);
        answers()?;
        let old = node.ferrule_child_pid()?.context("no DNS process")?;
        node.kill_ferrule()?;
        answers()?;
        progress.note("starting it again");
        node.start_ferrule(lab.manifests().dir(), FERRULE_ARGS)?;
        node.wait_ready(READY_LIMIT)?;
        wait::until("the next DNS process", READY_LIMIT, || {
            Ok(node.ferrule_child_pid()?.is_some_and(|pid| pid != old) && !alive(old))
        })?;
        answers()?;
        let tally = load.stop()?;
        ensure!(tally.answers() >= 3 * ANSWERS, "{tally:?}");
        Ok(Finding::new(tally.failures() == 0 && whole(&tally), describe(&tally)))
    })
}

fn alive(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

fn more(load: &crate::client::DnsLoad) -> Result<()> {
    let target = load.sample()?.answers() + ANSWERS;
    wait::until("answers", READY_LIMIT, || Ok(load.sample()?.answers() >= target)).map(drop)
}

/// Whether every answer was the right one.
fn whole(tally: &DnsTally) -> bool {
    tally.with_code("NOERROR") == tally.answers() && tally.no_data == 0
}

fn describe(tally: &DnsTally) -> String {
    format!(
        "{} answers, {} asked again, longest gap {}",
        count(tally.answers()),
        tally.failures(),
        us(tally.longest_gap_us)
    )
}
