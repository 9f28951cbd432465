//! The laws of NetworkPolicy for random clusters (docs/testing.md): compiled maps against the oracle, which is written
//! from the API's words, and what packets see between two writes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test and its helpers")]

mod cases;
mod cluster;
mod daemon;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use cluster::*;
use compile::Limits;
use compile::oracle::policy::Judgement;
use compile::policy::{Answer, RuleName};
use daemon::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

fn config(cases: u32) -> ProptestConfig {
    let more = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: more.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}

/// The maps and the oracle agree on a question, the rule included.
fn agree(daemon: &Daemon, question: &Question, judged: &Judgement) -> Result<(), TestCaseError> {
    let answer = daemon.kernel.ask(question).expect("a local pod has a row");
    let name = |id| daemon.engine.rule_name(id).expect("a rule in the maps has a name").clone();
    match (answer, judged) {
        (Answer::NotIsolated, Judgement::Open) => {}
        (Answer::Allowed(rule), Judgement::Allowed(allowing)) => {
            let RuleName::Rule { policy, direction, index } = name(rule) else {
                return Err(TestCaseError::fail("a default allows"));
            };
            prop_assert_eq!(direction, question.direction);
            let index = usize::try_from(index).unwrap();
            prop_assert!(
                allowing.contains(&(policy, index)),
                "{:?}: {} of {:?}",
                question,
                name(rule),
                allowing
            );
        }
        (Answer::Denied(rule), Judgement::Denied(isolating)) => {
            let policies = isolating.clone().into();
            prop_assert_eq!(name(rule), RuleName::Default { direction: question.direction, policies });
        }
        _ => prop_assert!(false, "{:?}: the maps say {:?}, the oracle {:?}", question, answer, judged),
    }
    Ok(())
}

/// (g) The maps, asked as the programs ask them, agree with the oracle, rule by rule.
#[test]
fn maps_and_oracle_agree_on_200_000_verdicts() {
    let asked = Cell::new(0usize);
    let law = |steps: Vec<Step>| {
        let snapshot = snapshot_of(&steps);
        let mut daemon = Daemon::new(Limits::default());
        daemon.engine.update_all(&snapshot, &view());
        daemon.settle(&snapshot, &mut |_| {});
        for question in questions(&snapshot) {
            agree(&daemon, &question, &question.judge(&snapshot))?;
            asked.set(asked.get() + 1);
        }
        Ok(())
    };
    TestRunner::new(config(500)).run(&steps(28), law).unwrap();
    assert!(asked.get() >= 200_000, "only {} verdicts", asked.get());
}

proptest! {
    #![proptest_config(config(150))]

    /// (a), (b), (c) Compiling after each event, in whatever order, equals compiling once, and nothing is left over.
    #[test]
    fn many_small_compiles_equal_one(steps in steps(24)) {
        let mut store = synced_store();
        let mut daemon = Daemon::new(Limits::default());
        for step in &steps {
            store.apply(event(step));
            daemon.engine.update(&store.snapshot(), &view(), &store.take_changes());
            daemon.settle(&store.snapshot(), &mut |_| {});
        }
        let snapshot = store.snapshot();
        let mut once = Daemon::new(Limits::default());
        once.engine.update_all(&snapshot, &view());
        once.settle(&snapshot, &mut |_| {});
        prop_assert_eq!(daemon.rows(), once.rows());
        prop_assert_eq!(daemon.engine.fill(), once.engine.fill());
        prop_assert!(daemon.engine.audit(&daemon.kernel.dump.clone()).is_empty());
        daemon.check_ids();
        // Doing it all again changes nothing.
        daemon.kernel.writes.clear();
        daemon.engine.update_all(&snapshot, &view());
        daemon.settle(&snapshot, &mut |_| {});
        prop_assert!(daemon.kernel.writes.is_empty(), "{:?}", daemon.kernel.writes);
    }

    /// (d) With any failures it converges once they stop, and at no time passes what no state since then allowed.
    #[test]
    fn failures_are_made_good_and_open_nothing(steps in steps(20), seed in any::<u64>(), rate in 0u64..600) {
        let mut store = synced_store();
        let mut daemon = Daemon::start(Kernel::new(Limits::default(), seed, rate));
        // What was ever allowed: a row may be old for as long as writes fail.
        let mut ever: BTreeSet<Question> = BTreeSet::new();
        let mut tickets = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            store.apply(event(step));
            let snapshot = store.snapshot();
            ever.extend(questions(&snapshot).into_iter().filter(|question| question.judge(&snapshot).passes()));
            daemon.engine.update(&snapshot, &view(), &store.take_changes());
            tickets.extend(daemon.round(&snapshot, &mut |_| {}));
            for question in questions(&snapshot) {
                let passes = daemon.kernel.ask(&question).is_some_and(Answer::passes);
                prop_assert!(!passes || ever.contains(&question), "{:?} was never allowed", question);
            }
            if seed >> (i % 64) & 1 == 1 {
                tickets.drain(..).for_each(|ticket| daemon.engine.release(ticket));
            }
        }
        daemon.kernel.fail_per_mille = 0;
        tickets.drain(..).for_each(|ticket| daemon.engine.release(ticket));
        let snapshot = store.snapshot();
        daemon.settle(&snapshot, &mut |_| {});
        let mut once = Daemon::new(Limits::default());
        once.engine.update_all(&snapshot, &view());
        once.settle(&snapshot, &mut |_| {});
        prop_assert_eq!(daemon.rows(), once.rows());
    }

    /// (e) Between two writes a packet sees what was allowed before the event or is after it: what both allow passes all
    /// the time, what neither allows never. A flow that was let through at any moment and that nothing tells to be
    /// judged again is still allowed at the end.
    #[test]
    fn every_write_leaves_the_old_state_or_the_new_one(before in steps(16), then in steps(4)) {
        let mut store = synced_store();
        before.iter().for_each(|step| store.apply(event(step)));
        let mut daemon = Daemon::new(Limits::default());
        daemon.engine.update_all(&store.snapshot(), &view());
        daemon.settle(&store.snapshot(), &mut |_| {});
        store.take_changes();
        for step in &then {
            let old = store.snapshot();
            store.apply(event(step));
            let new = store.snapshot();
            let asked: Vec<(Question, bool, bool)> = questions(&new)
                .into_iter()
                // A pod to itself is never judged: the one event would change both ends.
                .filter(|question| {
                    let has_row = daemon.kernel.pods.contains_key(&question.pod);
                    let is_itself = |at: &model::Snapshot| {
                        at.pods.get(&question.pod).is_none_or(|pod| pod.addrs.contains(&question.peer))
                    };
                    has_row && !is_itself(&old) && !is_itself(&new)
                })
                .map(|question| {
                    let (was, is) = (question.judge(&old).passes(), question.judge(&new).passes());
                    (question, was, is)
                })
                .collect();
            let mut stamps: BTreeMap<&Question, BTreeSet<abi::PolicyRevision>> = BTreeMap::new();
            let mut wrong = Vec::new();
            let mut look = |kernel: &Kernel| {
                for (question, was, is) in &asked {
                    let Some(answer) = kernel.ask(question) else { continue };
                    let passes = answer.passes();
                    if (passes && !was && !is) || (!passes && *was && *is) {
                        wrong.push(format!("{question:?}: {answer:?}, before {was}, after {is}"));
                    }
                    if passes {
                        stamps.entry(question).or_default().extend(kernel.revision(question));
                    }
                }
            };
            look(&daemon.kernel);
            daemon.engine.update(&new, &view(), &store.take_changes());
            daemon.settle(&new, &mut look);
            prop_assert!(wrong.is_empty(), "{:?}: {:#?}", step, wrong);
            for (question, stamps) in stamps {
                let is_judged_again = daemon.kernel.revision(question).is_none_or(|now| !stamps.contains(&now));
                let passes = daemon.kernel.ask(question).is_some_and(Answer::passes);
                prop_assert!(passes || is_judged_again, "{:?} goes on", question);
            }
        }
    }

    /// (f) A restart at any point gives the same maps and keeps numbers; on an unchanged cluster it writes nothing but the
    /// revisions by which all flows are judged again. No flow goes on that is not allowed any more.
    #[test]
    fn a_restart_goes_on_where_it_was(
        before in steps(16), meanwhile in steps(4), writes in 0usize..60, rate in 0u64..300,
    ) {
        let snapshot = snapshot_of(&before);
        let mut daemon = Daemon::new(Limits::default());
        daemon.engine.update_all(&snapshot, &view());
        daemon.settle(&snapshot, &mut |_| {});

        let mut again = Daemon::start(Kernel { writes: Vec::new(), ..daemon.kernel.clone() });
        again.engine.update_all(&snapshot, &view());
        again.settle(&snapshot, &mut |_| {});
        let others: Vec<_> = again.kernel.writes.iter().filter(|map| **map != "POLICY_REVISION").collect();
        prop_assert!(others.is_empty(), "an unchanged cluster: {:?}", others);
        prop_assert_eq!(again.rows(), daemon.rows());

        // A flow of every question that passes, and a crash in the middle of the writes that follow.
        let flows: Vec<(Question, Option<abi::PolicyRevision>)> = questions(&snapshot)
            .into_iter()
            .filter(|question| again.kernel.ask(question).is_some_and(Answer::passes))
            .map(|question| { let stamp = again.kernel.revision(&question); (question, stamp) })
            .collect();
        let mut all = before;
        all.extend(meanwhile);
        let changed = snapshot_of(&all);
        again.engine.update_all(&changed, &view());
        again.kernel.fail_per_mille = rate;
        let mut left = writes;
        let mut crashed: Option<Kernel> = None;
        let mut look = |kernel: &Kernel| {
            if left == 0 && crashed.is_none() {
                crashed = Some(kernel.clone());
            }
            left = left.saturating_sub(1);
        };
        again.round(&changed, &mut look);
        let kernel = crashed.unwrap_or(again.kernel);
        let mut last = Daemon::start(Kernel { fail_per_mille: 0, ..kernel });
        last.engine.update_all(&changed, &view());
        last.settle(&changed, &mut |_| {});
        let mut once = Daemon::new(Limits::default());
        once.engine.update_all(&changed, &view());
        once.settle(&changed, &mut |_| {});
        prop_assert_eq!(last.rows(), once.rows());
        for (question, stamp) in flows {
            let passes = last.kernel.ask(&question).is_none_or(Answer::passes);
            prop_assert!(passes || last.kernel.revision(&question) != stamp, "{:?} goes on", question);
        }
    }

    /// Maps that are too small close what does not fit and say so; once there is room everything is as it should be.
    #[test]
    fn what_does_not_fit_is_closed_and_named(
        steps in steps(24),
        sizes in (1u32..6, 1u32..6, 1u32..12, 1u32..20),
        others in (3u32..6, 4u32..20, 3u32..40),
    ) {
        let (identities, identity_cidrs, verdicts, port_classes) = sizes;
        let (policies, rules, ids) = others;
        let policy = compile::PolicyLimits { identities, identity_cidrs, verdicts, port_classes, policies, rules };
        let mut store = synced_store();
        let mut daemon = Daemon::new(Limits { ids, policy, ..Limits::default() });
        for step in &steps {
            store.apply(event(step));
            let snapshot = store.snapshot();
            daemon.engine.update(&snapshot, &view(), &store.take_changes());
            daemon.settle(&snapshot, &mut |_| {});
            let is_named = daemon.engine.warnings().count() > 0;
            prop_assert_eq!(is_named, daemon.engine.has_refused());
            for question in questions(&snapshot) {
                let passes = daemon.kernel.ask(&question).expect("a row").passes();
                let should = question.judge(&snapshot).passes();
                prop_assert!(!passes || should, "{:?} is open", question);
                prop_assert!(passes == should || is_named, "{:?} is closed and nothing says so", question);
            }
        }
        for key in store.snapshot().network_policies.keys().cloned().collect::<Vec<_>>() {
            store.apply(model::Event::Delete(model::ObjectKey { kind: model::Kind::NetworkPolicy, name: key }));
        }
        daemon.engine.update(&store.snapshot(), &view(), &store.take_changes());
        daemon.settle(&store.snapshot(), &mut |_| {});
        // Pods themselves need rows too, of which there may be too few.
        let of_policies = |warning: &model::Warning| warning.object.kind != model::Kind::Pod;
        prop_assert_eq!(daemon.engine.warnings().filter(of_policies).count(), 0);
        let policy_rows: Vec<u64> = daemon.engine.fill()[7..12].iter().map(|fill| fill.used).collect();
        prop_assert_eq!(policy_rows, vec![0; 5]);
    }
}
