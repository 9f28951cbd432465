//! An engine, maps in memory and the writer of pods' rows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use abi::{PolicyId, PolicyRevision, Port, Protocol};
use compile::oracle::policy::{Connection, End, Judgement, judge};
use compile::policy::{Answer, PodPolicy, PolicyDump, PolicyOp, lookup};
use compile::{Dump, Engine, Limits, Op, Phase, Ticket, render};
use model::{Changes, Direction, ObjectName, Snapshot};

use super::cluster::{PORTS, addrs, view};

/// The maps, with their maxima, and a generator of faults.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) dump: Dump,
    /// Rows of `PODS`: the index is the place in the map.
    pub(crate) pods: BTreeMap<ObjectName, (u32, PodPolicy)>,
    pub(crate) limits: Limits,
    pub(crate) state: u64,
    pub(crate) fail_per_mille: u64,
    /// Maps written to, one entry a write.
    pub(crate) writes: Vec<&'static str>,
}

impl Kernel {
    pub(crate) fn new(limits: Limits, seed: u64, fail_per_mille: u64) -> Self {
        let (dump, pods) = (Dump::default(), BTreeMap::new());
        Self { dump, pods, limits, state: seed | 1, fail_per_mille, writes: Vec::new() }
    }

    fn fails(&mut self) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % 1000 < self.fail_per_mille
    }

    /// Does one write, calling `look` after each row of it; true if it came through.
    fn write(&mut self, op: &Op, look: &mut dyn FnMut(&Self)) -> bool {
        self.writes.push(if let Op::Policy(op) = op { op.map() } else { "others" });
        let Op::Policy(PolicyOp::PutIdentityCidrs(rows)) = op else {
            if self.fails() {
                return false;
            }
            self.dump.apply(op);
            self.check(op);
            look(self);
            return true;
        };
        for row in rows {
            if self.fails() {
                return false;
            }
            self.dump.policy.apply(&PolicyOp::PutIdentityCidrs(vec![*row]));
            self.check(op);
            look(self);
        }
        true
    }

    fn check(&self, op: &Op) {
        let (maps, limits) = (&self.dump.policy, &self.limits.policy);
        let fits = |rows: usize, max: u32| assert!(rows <= max as usize, "{op:?} is one row too many");
        fits(maps.identities.len(), limits.identities);
        fits(maps.identity_cidrs.len(), limits.identity_cidrs);
        fits(maps.verdicts.len(), limits.verdicts);
        fits(maps.port_classes.len(), limits.port_classes);
        fits(self.dump.ids.len(), self.limits.ids);
        assert!(maps.revisions.keys().all(|id| id.0 < limits.policies), "{op:?} is outside");
    }

    /// What the maps say of a local pod, if it has a row.
    pub(crate) fn ask(&self, question: &Question) -> Option<Answer> {
        let id = self.policy_id(question)?;
        let (protocol, port) = (question.protocol, Port::new(question.port));
        let Ok(answer) = lookup(&self.dump.policy.rows(), id, question.peer.into(), protocol, port);
        Some(answer)
    }

    fn policy_id(&self, question: &Question) -> Option<PolicyId> {
        let (_, policy) = self.pods.get(&question.pod)?;
        Some(match question.direction {
            Direction::Ingress => policy.ingress,
            Direction::Egress => policy.egress,
        })
    }

    /// What a flow remembers that is judged now.
    pub(crate) fn revision(&self, question: &Question) -> Option<PolicyRevision> {
        let id = self.policy_id(question)?;
        Some(self.dump.policy.revisions.get(&id).copied().unwrap_or_default())
    }
}

/// One direction of one pod, and the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question {
    pub(crate) pod: ObjectName,
    pub(crate) direction: Direction,
    pub(crate) peer: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

impl Question {
    /// What the API's words say.
    pub(crate) fn judge(&self, snapshot: &Snapshot) -> Judgement {
        let mut view = view();
        // Traffic of the node itself is never judged, by the programs and not by the maps.
        view.addrs.clear();
        let local = End { addr: IpAddr::from([0, 0, 0, 0]), pod: Some(&self.pod) };
        let peer = End { addr: self.peer, pod: None };
        let (from, to) = match self.direction {
            Direction::Egress => (local, peer),
            Direction::Ingress => (peer, local),
        };
        let connection = Connection { from, to, protocol: self.protocol, port: self.port };
        let (egress, ingress) = judge(snapshot, &view, &connection);
        match self.direction {
            Direction::Egress => egress,
            Direction::Ingress => ingress,
        }
    }
}

/// All questions about the local pods of a snapshot.
pub(crate) fn questions(snapshot: &Snapshot) -> Vec<Question> {
    let is_local =
        |pod: &model::Pod| pod.node.as_deref() == Some("here") && !pod.is_finished && !pod.is_host_network;
    let mut questions = Vec::new();
    for pod in snapshot.pods.values().filter(|pod| is_local(pod)) {
        for direction in Direction::ALL {
            for peer in addrs() {
                for (protocol, port) in PORTS {
                    questions.push(Question { pod: pod.name.clone(), direction, peer, protocol, port });
                }
            }
        }
    }
    questions
}

pub(crate) struct Daemon {
    pub(crate) engine: Engine,
    pub(crate) kernel: Kernel,
}

impl Daemon {
    /// A start on what the maps hold.
    pub(crate) fn start(kernel: Kernel) -> Self {
        let mut engine = Engine::new(kernel.limits.clone(), kernel.dump.clone());
        for (row, policy) in kernel.pods.values() {
            engine.record_pod_policy(*row, Some(*policy));
        }
        Self { engine, kernel }
    }

    pub(crate) fn new(limits: Limits) -> Self {
        Self::start(Kernel::new(limits, 1, 0))
    }

    /// One round; `look` sees the maps after every single write.
    pub(crate) fn round(&mut self, snapshot: &Snapshot, look: &mut dyn FnMut(&Kernel)) -> Option<Ticket> {
        for phase in Phase::ALL {
            let ops = self.engine.plan(phase, snapshot.synced.as_ref());
            let results: Vec<bool> = ops.iter().map(|op| self.kernel.write(op, look)).collect();
            self.engine.record(phase, &ops, &results);
            if phase == Phase::WriteIdentities {
                self.switch_pods(look);
            }
        }
        self.engine.end_round()
    }

    fn switch_pods(&mut self, look: &mut dyn FnMut(&Kernel)) {
        let wanted: Vec<ObjectName> = self.engine.pod_policies().map(|(pod, _)| pod.clone()).collect();
        let gone: Vec<ObjectName> =
            self.kernel.pods.keys().filter(|pod| !wanted.contains(pod)).cloned().collect();
        for pod in gone {
            if let Some((row, _)) = self.kernel.pods.remove(&pod) {
                self.engine.record_pod_policy(row, None);
            }
        }
        for pod in wanted {
            let had = self.kernel.pods.get(&pod).copied();
            let now = self.engine.pod_policy_now(&pod, had.map(|(_, policy)| policy)).expect("it is local");
            if had.is_some_and(|(_, policy)| policy == now) || self.kernel.fails() {
                continue;
            }
            let free = || (0..).find(|row| self.kernel.pods.values().all(|(used, _)| used != row));
            let row = had.map(|(row, _)| row).or_else(free).expect("there are numbers enough");
            self.kernel.pods.insert(pod, (row, now));
            self.kernel.writes.push("PODS");
            self.engine.record_pod_policy(row, Some(now));
            look(&self.kernel);
        }
    }

    /// Whether every pod has what it is to have.
    fn is_switched(&self) -> bool {
        self.engine
            .pod_policies()
            .all(|(pod, policy)| self.kernel.pods.get(pod).is_some_and(|(_, p)| *p == policy))
    }

    /// Rounds until nothing is to be done.
    pub(crate) fn settle(&mut self, snapshot: &Snapshot, look: &mut dyn FnMut(&Kernel)) {
        for _ in 0..40 {
            if let Some(ticket) = self.round(snapshot, look) {
                self.engine.release(ticket);
                if self.engine.has_refused() {
                    self.engine.update(snapshot, &view(), &Changes::default());
                }
            }
            if self.engine.pending() == 0 && !self.engine.has_tickets() && self.is_switched() {
                return;
            }
        }
        panic!(
            "does not converge: {:?}",
            self.engine.pending_by_map().filter(|(_, n)| *n > 0).collect::<Vec<_>>()
        );
    }

    /// The rows of the maps by name.
    pub(crate) fn rows(&self) -> Vec<String> {
        render::render(&self.kernel.dump, &self.engine.names())
    }

    /// The maps' ids are those that are in use: nothing is left over.
    pub(crate) fn check_ids(&self) {
        let used: Vec<u64> = self.engine.fill().iter().map(|fill| fill.used).collect();
        let fresh: PolicyDump = self.kernel.dump.policy.clone();
        assert_eq!(
            used[7..11],
            [
                fresh.identities.len() as u64,
                fresh.identity_cidrs.len() as u64,
                fresh.verdicts.len() as u64,
                fresh.port_classes.len() as u64,
            ]
        );
    }
}
