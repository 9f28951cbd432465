//! The daemon's DNS process is found by its name in the node's cgroups. Needs root.

use std::time::Duration;

use lab::{Lab, LabSpec, PodSpec};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_dns_child_is_found_until_it_is_killed() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let [node, other] = lab.nodes() else { panic!("a lab of two nodes") };
    assert_eq!(node.ferrule_child_pid().unwrap(), None);

    // A script of that name that waits for a writer which never comes.
    let (program, pipe) = (lab.id().dir().join("ferrule"), lab.id().dir().join("never"));
    mkfifo(&pipe, Mode::S_IRUSR).unwrap();
    std::fs::write(&program, format!("#!/bin/sh\nread -r line < {}\n", pipe.display())).unwrap();
    let pod = node.add_pod(PodSpec::idle("kube-system", "ferrule")).unwrap();

    std::thread::scope(|scope| {
        let program = program.to_str().unwrap();
        let child = scope.spawn(|| pod.command(&["sh", program, "dns", "child"]).unwrap());
        lab::until("the child", LIMIT, || Ok(node.ferrule_child_pid()?.is_some())).unwrap();
        assert_eq!(other.ferrule_child_pid().unwrap(), None);
        let pid = node.ferrule_child_pid().unwrap().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        assert_eq!(child.join().unwrap().code, None);
    });
    assert_eq!(node.ferrule_child_pid().unwrap(), None);
}
