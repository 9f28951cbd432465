//! A lab leaves nothing, however it ends. Needs root.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{Keep, Lab, LabId, LabSpec, Mass, MassSpec, OutsideSpec, PodSpec, Wiring, leaks};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(10);

/// A lab that another process owns.
struct Owner {
    process: Child,
    id: LabId,
}

impl Owner {
    /// Starts one and waits until its pods are up.
    fn start() -> Self {
        let mut process =
            Command::new(env!("CARGO_BIN_EXE_ferrule-lab")).arg("up").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let id = line.split([' ', ',']).nth(1).and_then(|id| LabId::parse(id).ok()).expect(&line);
        assert!(!traces_of(&id).is_empty(), "a lab shows while it is up");
        Self { process, id }
    }

    fn signal(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
        self.process.wait().unwrap();
    }
}

/// The lines about one lab.
fn traces_of(id: &LabId) -> Vec<String> {
    leaks::list().unwrap().into_iter().filter(|line| line.contains(&id.to_string())).collect()
}

#[test]
fn the_next_lab_clears_up_after_a_killed_owner() {
    let mut owner = Owner::start();
    owner.signal(Signal::SIGKILL);
    assert!(!traces_of(&owner.id).is_empty(), "SIGKILL leaves the lab behind");
    let next = Lab::new(LabSpec { nodes: Vec::new() }).unwrap();
    // Another test's lab may have come first and still be at it.
    lab::until("the traces to go", LIMIT, || Ok(traces_of(&owner.id).is_empty())).unwrap();
    assert!(!traces_of(next.id()).is_empty(), "the new lab is up");
}

#[test]
fn a_signal_takes_the_lab_away() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut owner = Owner::start();
        owner.signal(signal);
        assert_eq!(traces_of(&owner.id), Vec::<String>::new(), "after {signal}");
    }
}

#[test]
fn a_dropped_lab_leaves_nothing_and_does_not_touch_another() {
    let other = Lab::new(LabSpec::default()).unwrap();
    let lab = Lab::new(LabSpec::default()).unwrap();
    let id = lab.id().clone();
    for node in lab.nodes() {
        node.add_pod(PodSpec::server("default", &format!("server-{}", node.name()), 3000)).unwrap();
        node.add_pod(PodSpec::idle("default", &format!("client-{}", node.name()))).unwrap();
    }
    let before = traces_of(other.id());
    drop(lab);
    assert_eq!(traces_of(&id), Vec::<String>::new());
    assert_eq!(traces_of(other.id()), before, "the other lab is as it was");
}

#[test]
fn a_kept_lab_outlives_its_owner_until_it_is_taken_down() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let id = lab.id().clone();
    lab.keep().unwrap();
    let next = Lab::new(LabSpec { nodes: Vec::new() }).unwrap();
    assert!(!traces_of(&id).is_empty(), "a new lab does not clear up a kept one");
    drop(next);
    lab::take_down(&id).unwrap();
    assert_eq!(traces_of(&id), Vec::<String>::new());
    assert!(lab::take_down(&id).is_err(), "it is gone");
}

#[test]
fn what_packet_tests_make_is_found_by_the_lab_s_id_alone() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let id = lab.id().clone();
    let far = lab.add_outside(OutsideSpec::new("far").behind_hop(1400)).unwrap();
    let busy = far.address().both().map(|address| (address, 7000).into());
    for node in lab.nodes() {
        for wiring in [Wiring::Ptp, Wiring::Routed, Wiring::Bridge] {
            let name = format!("{wiring:?}-{}", node.name()).to_lowercase();
            let spec = PodSpec::idle("default", &name).wired(wiring).sending_early(&busy);
            node.add_pod(spec).unwrap().site().echo_wide(&[7000]).unwrap();
        }
    }
    far.site().echo(&[7000]).unwrap();
    let line = lab.nodes()[0].site().steady(busy[0], Duration::from_millis(5)).unwrap();
    line.wait_for_more(1, LIMIT).unwrap();
    let (mass, opened) = Mass::open(&[far.site()], &MassSpec::new(busy[0], 100)).unwrap();
    assert_eq!(opened.open, 100);
    let capture = far.site().capture(Keep::All).unwrap();
    let traces = traces_of(&id);
    for part in ["far-near", "far-far", "process ferrule-lab"] {
        assert!(traces.iter().any(|line| line.contains(part)), "{part} in {traces:#?}");
    }

    // Kept, the lab has no owner any more: taking it down is what is done for a killed one's.
    lab.keep().unwrap();
    lab::take_down(&id).unwrap();
    assert_eq!(traces_of(&id), Vec::<String>::new());
    drop((mass, line, capture));
}

#[test]
fn a_lab_in_use_is_not_taken_down_by_others() {
    let lab = Lab::new(LabSpec { nodes: Vec::new() }).unwrap();
    assert!(lab::take_down(lab.id()).is_err());
    lab::clear_stale().unwrap();
    assert!(!traces_of(lab.id()).is_empty());
}

#[test]
fn a_deleted_pod_leaves_nothing_and_its_addresses_are_used_again_late() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    for node in lab.nodes() {
        let before = traces_of(lab.id());
        let first = node.add_pod(PodSpec::server("default", "a", 3000)).unwrap();
        first.delete().unwrap();
        assert_eq!(without_empty_cgroups(traces_of(lab.id())), without_empty_cgroups(before));
        let second = node.add_pod(PodSpec::server("default", "a", 3000)).unwrap();
        assert_ne!(first.address(), second.address());
        second.delete().unwrap();
    }
}

/// The kubelet too leaves the cgroups of the classes of pods.
fn without_empty_cgroups(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| !line.ends_with("/kubepods") && !line.ends_with("/burstable")).collect()
}
