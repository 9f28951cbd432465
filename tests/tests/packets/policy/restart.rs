//! The daemon goes and comes back: what is allowed never breaks, what is denied never passes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use lab::manifests::{PolicySpec, Rule, Selector};
use lab::packet::{Build, TcpFlags};
use lab::{Capture, Keep, Pod};

use super::town::Town;
use crate::world::LIMIT;

/// Between two denied packets.
const TICK: Duration = Duration::from_millis(10);
const PORTS: (u16, u16) = (40_321, 80);

/// A datagram and an opener to each of the pods, again and again, until it is told to stop.
fn knock(from: &Pod, to: &[&Pod], knocks: &AtomicU64, stopped: &AtomicBool) -> Result<()> {
    let link = from.site().raw()?;
    while !stopped.load(Ordering::Relaxed) {
        for to in to {
            for (source, destination) in from.address().both().into_iter().zip(to.address().both()) {
                let build = Build::new(source, destination);
                link.send(from.gateway_mac(), &build.udp(PORTS, b"knock"))?;
                link.send(from.gateway_mac(), &build.tcp(PORTS, TcpFlags::SYN, (1, 0), b""))?;
            }
        }
        knocks.fetch_add(1, Ordering::Relaxed);
        thread::park_timeout(TICK);
    }
    Ok(())
}

fn knocks_at(capture: &Capture, from: &Pod) -> Result<usize> {
    capture.count(|p| from.address().both().contains(&p.source) && p.ports() == Some(PORTS))
}

#[test]
fn a_restart_and_a_crash_neither_break_what_is_allowed_nor_let_pass_what_is_denied() -> Result<()> {
    let town = Town::new()?;
    let only_a = Rule::all().pods_in(Selector::label("team", "two"), Selector::label("app", "a"));
    let policy = PolicySpec::new("x", "only-y-a").ingress(only_a);
    town.apply(&policy.object())?;
    town.expect("only y.a", &[80], |p| !p.to.starts_with("x.") || p.from == "y.a")?;
    let to = [town.pod("x.a"), town.pod("x.b")];
    let captures = to.map(|pod| pod.site().capture(Keep::All));
    let [a, b] = captures;
    let captures = [a?, b?];
    let steady = to
        .iter()
        .flat_map(|pod| pod.address().both())
        .map(|ip| town.pod("y.a").site().steady((ip, 80).into(), TICK));
    let steady = steady.collect::<Result<Vec<_>>>()?;

    let (knocks, stopped) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let knocking = scope.spawn(|| knock(town.pod("y.b"), &to, &knocks, &stopped));
        let result = (|| {
            let goes_on = |what: &str| -> Result<()> {
                for steady in &steady {
                    let facts = steady.wait_for_more(20, LIMIT).with_context(|| what.to_owned())?;
                    ensure!(facts.wrong == 0, "{what}: {facts:?}");
                }
                let before = knocks.load(Ordering::Relaxed);
                lab::until("denied packets", LIMIT, || Ok(knocks.load(Ordering::Relaxed) > before + 10))?;
                for (pod, capture) in to.iter().zip(&captures) {
                    let passed = knocks_at(capture, town.pod("y.b"))?;
                    ensure!(passed == 0, "{what}: {passed} denied packets reached {}", pod.place());
                }
                Ok(())
            };
            goes_on("before")?;
            for round in 0..3 {
                for node in town.lab.nodes() {
                    if round == 0 {
                        ensure!(node.terminate_ferrule()? == 0, "{} ended badly", node.name());
                    } else {
                        node.kill_ferrule()?;
                    }
                }
                goes_on("no daemon runs")?;
                town.lab.start_ferrule(LIMIT)?;
                goes_on("daemons run again")?;
            }
            town.delete(&policy.object())?;
            // Had they passed, they would have been seen.
            for (pod, capture) in to.iter().zip(&captures) {
                lab::until("packets that are allowed now", LIMIT, || {
                    Ok(knocks_at(capture, town.pod("y.b"))? > 0)
                })
                .with_context(|| pod.place().to_owned())?;
            }
            Ok(())
        })();
        stopped.store(true, Ordering::Relaxed);
        knocking.join().map_err(|_| anyhow!("a thread panicked"))??;
        result
    })
}
