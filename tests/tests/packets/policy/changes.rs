//! What a change does to open connections: it cuts those that are denied now, and no other; and what is allowed goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::manifests::{self, PolicySpec, Rule, Selector};
use lab::{Steady, SteadyFacts};

use super::town::Town;
use crate::world::LIMIT;

/// Between two lines of a connection.
const TICK: Duration = Duration::from_millis(10);
/// Lines that say that a connection goes on.
const LINES: u64 = 20;

/// Long connections by the names of their ends.
struct Connections(BTreeMap<(&'static str, &'static str), Steady>);

impl Connections {
    /// From each to each.
    fn open(town: &Town, from: &[&'static str], to: &[&'static str]) -> Result<Self> {
        let mut connections = BTreeMap::new();
        for from in from {
            for to in to {
                // Both families are somewhere among them.
                let [v4, v6] = town.pod(to).address().both();
                let address = if connections.len() % 2 == 0 { v4 } else { v6 };
                let steady = town.pod(from).site().steady((address, 80).into(), TICK)?;
                steady.wait_for_more(LINES, LIMIT).with_context(|| format!("{from} to {to}"))?;
                connections.insert((*from, *to), steady);
            }
        }
        Ok(Self(connections))
    }

    fn samples(&self) -> Result<BTreeMap<(&'static str, &'static str), SteadyFacts>> {
        self.0.iter().map(|(ends, steady)| Ok((*ends, steady.sample()?))).collect()
    }

    /// Waits until exactly those go on that should, and the others do not while these do.
    fn expect(&self, what: &str, goes_on: impl Fn(&str, &str) -> bool) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let before = self.samples()?;
            for ((from, to), steady) in self.0.iter().filter(|((from, to), _)| goes_on(from, to)) {
                let facts = steady.wait_for_more(LINES, LIMIT);
                let facts = facts.with_context(|| format!("{what}: {from} to {to} does not go on"))?;
                ensure!(facts.wrong == 0, "{what}: {from} to {to}: {facts:?}");
            }
            let after = self.samples()?;
            let leak = before.iter().zip(after.values()).find(|(((from, to), before), after)| {
                !goes_on(from, to) && before.received != after.received
            });
            match leak {
                None => return Ok(()),
                Some((((from, to), _), after)) => {
                    ensure!(Instant::now() < deadline, "{what}: {from} to {to} goes on: {after:?}");
                }
            }
        }
    }
}

#[test]
fn a_change_cuts_the_connections_that_it_denies_and_no_others() -> Result<()> {
    let town = Town::new()?;
    let all = Connections::open(&town, &["x.c", "y.a", "y.b"], &["x.a", "x.b"])?;
    all.expect("no policy", |_, _| true)?;
    let team = |team: &str| Selector::label("team", team);
    let app = |app: &str| Selector::label("app", app);
    let policy = |rules: &[Rule]| {
        let targets = Selector::default().is_in("app", &["a", "b"]);
        let policy = PolicySpec::new("x", "p").pods(targets).isolate_ingress();
        rules.iter().cloned().fold(policy, PolicySpec::ingress).object()
    };
    let of_y = Rule::all().namespaces(team("two"));

    town.apply(&policy(&[Rule::all().pods(app("c")), of_y.clone()]))?;
    all.expect("all peers are allowed", |_, _| true)?;
    town.apply(&policy(std::slice::from_ref(&of_y)))?;
    all.expect("an allow is removed", |from, _| from != "x.c")?;
    town.apply(&policy(&[Rule::all().pods_in(team("two"), app("a"))]))?;
    all.expect("an allow is narrowed", |from, _| from == "y.a")?;

    town.apply(&town.object_of(town.pod("y.b")).with("/metadata/labels/app", "a"))?;
    all.expect("a peer gains the label", |from, _| from.starts_with("y."))?;
    town.apply(&town.object_of(town.pod("y.a")).with("/metadata/labels/app", "z"))?;
    all.expect("a peer loses the label", |from, _| from == "y.b")?;
    town.apply(&town.object_of(town.pod("y.a")))?;
    all.expect("it has it again", |from, _| from.starts_with("y."))?;
    let y = manifests::namespace("y");
    town.apply(&y)?;
    all.expect("the namespace loses its label", |_, _| false)?;
    town.apply(&y.with("/metadata/labels/team", "two"))?;
    all.expect("it has it again", |from, _| from.starts_with("y."))?;
    town.apply(&town.object_of(town.pod("x.b")).with("/metadata/labels/app", "free"))?;
    all.expect("a target loses its label", |from, to| to == "x.b" || from.starts_with("y."))?;

    // The address of y.a is another pod's now.
    town.delete(&town.object_of(town.pod("y.a")))?;
    all.expect("a peer is gone", |from, to| to == "x.b" || from == "y.b")?;
    let heir = town.object_of(town.pod("y.a"));
    let heir = heir
        .with("/metadata/name", "heir")
        .with("/metadata/uid", "1e9f")
        .with("/metadata/labels/app", "heir");
    town.apply(&heir)?;
    all.expect("another pod has the address", |from, to| to == "x.b" || from == "y.b")?;
    town.apply(&heir.with("/metadata/labels/app", "a"))?;
    all.expect("it may", |from, to| to == "x.b" || from.starts_with("y."))?;

    town.delete(&policy(&[]))?;
    all.expect("the policy is gone", |_, _| true)
}
