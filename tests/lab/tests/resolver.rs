//! Programs in a pod see the resolver configuration of a pod. Needs root.

use std::net::IpAddr;

use lab::{CLUSTER_DNS, Lab, LabSpec, PodSpec};

#[test]
fn a_pod_has_a_resolv_conf_of_its_own_and_the_machines_is_untouched() {
    let files = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"].map(std::path::Path::new);
    let before = files.map(|file| std::fs::read(file).unwrap());
    let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap();
    let etc_mounts = || mounts().lines().filter(|line| line.contains(" /etc/")).count();
    let mounted_before = etc_mounts();

    let lab = Lab::new(LabSpec::default()).unwrap();
    let node = lab.node("node-1").unwrap();
    let other_server: IpAddr = "fd00:10:96::a".parse().unwrap();
    let usual = node.add_pod(PodSpec::idle("production", "usual")).unwrap();
    let other = PodSpec::server("default", "other", 3000).nameservers(&[other_server, CLUSTER_DNS]);
    let other = node.add_pod(other).unwrap();

    let read = |pod: &lab::Pod, file| pod.command(&["cat", file]).unwrap().stdout;
    assert_eq!(
        read(&usual, "/etc/resolv.conf"),
        "search production.svc.cluster.local svc.cluster.local cluster.local\n\
         nameserver 10.96.0.10\noptions ndots:5\n"
    );
    assert_eq!(
        read(&other, "/etc/resolv.conf"),
        "search default.svc.cluster.local svc.cluster.local cluster.local\n\
         nameserver fd00:10:96::a\nnameserver 10.96.0.10\noptions ndots:5\n"
    );
    let itself = usual.command(&["getent", "ahostsv4", "usual"]).unwrap();
    assert!(itself.stdout.starts_with(&usual.address().v4.to_string()), "{itself:?}");

    assert_eq!(files.map(|file| std::fs::read(file).unwrap()), before);
    assert_eq!(etc_mounts(), mounted_before, "{}", mounts());
}

#[test]
fn a_command_says_how_it_ended_and_where_it_ran() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let node = lab.node("node-1").unwrap();
    let pod = node.add_pod(PodSpec::idle("default", "client")).unwrap();
    let out = pod.command(&["sh", "-c", "cat /proc/self/cgroup; echo oops >&2; exit 3"]).unwrap();
    assert_eq!((out.code, out.stderr.as_str()), (Some(3), "oops\n"), "{out:?}");
    assert!(out.stdout.contains(pod.uid()), "in the pod's cgroup: {out:?}");
    let killed = pod.command(&["sh", "-c", "kill -9 $$"]).unwrap();
    assert_eq!(killed.code, None);
    let missing = pod.command(&["/no/such/program"]).unwrap_err();
    assert!(format!("{missing:#}").contains("executing it"), "{missing:#}");
    let host = node.command(&["cat", "/etc/resolv.conf"]).unwrap();
    assert_eq!(host.stdout, std::fs::read_to_string("/etc/resolv.conf").unwrap());
}
