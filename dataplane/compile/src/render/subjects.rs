//! Rows of subjects.

use abi::{Addr, DeviceEntry, DeviceFlags, DeviceKind, IfIndex, PodEntry, PodFlags, PodId};

use crate::subjects::{SubjectDump, SubjectNames};

/// The rows of all maps of subjects; those of the host and of pods without room are always the same and not shown.
pub(super) fn rows(dump: &SubjectDump, names: &SubjectNames) -> Vec<String> {
    let pods =
        dump.pods.iter().filter(|(id, entry)| **id >= PodId::FIRST && entry.flags.has(PodFlags::KNOWN));
    let mut rows: Vec<String> = pods.map(|(id, entry)| pod_row(names, *id, entry)).collect();
    rows.extend(
        dump.local_pods.iter().map(|(addr, id)| format!("local-pod {addr} -> {}", pod_text(names, *id))),
    );
    rows.extend(
        dump.cgroups.iter().map(|(cgroup, id)| format!("cgroup {} -> {}", cgroup.0, pod_text(names, *id))),
    );
    rows.extend(dump.devices.iter().map(|(index, entry)| device_row(names, *index, entry)));
    rows
}

fn pod_row(names: &SubjectNames, id: PodId, entry: &PodEntry) -> String {
    let mut row = format!("pod {}", pod_text(names, id));
    if entry.ifindex != IfIndex::NONE {
        row.push_str(&format!(" interface={}", device_text(names, entry.ifindex)));
    }
    if entry.mac != [0; 6] {
        row.push_str(&format!(" mac={}", mac_text(entry.mac)));
    }
    for (flag, text) in [(PodFlags::ADDRESSED, " addressed"), (PodFlags::NO_SOCKET_LB, " per-packet")] {
        if entry.flags.has(flag) {
            row.push_str(text);
        }
    }
    row
}

fn device_row(names: &SubjectNames, index: IfIndex, entry: &DeviceEntry) -> String {
    let kind = DeviceKind::try_from(entry.kind_code()).map_or("of unknown kind", |kind| match kind {
        DeviceKind::Pod => "pod",
        DeviceKind::Uplink => "uplink",
        DeviceKind::Overlay => "overlay",
    });
    let mut row = format!("device {} {kind}", device_text(names, index));
    if entry.kind_code() == DeviceKind::Pod as u8 {
        row.push_str(&format!(" {}", pod_text(names, entry.pod)));
    }
    for (flag, text) in [(DeviceFlags::L3, " l3"), (DeviceFlags::BRIDGE_PORT, " bridge-port")] {
        if entry.flags.has(flag) {
            row.push_str(text);
        }
    }
    row.push_str(&format!(" mtu={}", entry.mtu));
    let sources = [Addr::ANY_V4, Addr::ANY_V6].map(|any| entry.snat_toward(any)).into_iter();
    for source in sources.filter(|source| *source != source.any_of_family()) {
        row.push_str(&format!(" snat={source}"));
    }
    row
}

fn pod_text(names: &SubjectNames, id: PodId) -> String {
    match id {
        PodId::NONE => "unclaimed".to_owned(),
        PodId::HOST => "the host".to_owned(),
        PodId::REFUSED => "closed".to_owned(),
        id => names.pods.get(&id).map_or_else(|| "a pod without a name".to_owned(), ToString::to_string),
    }
}

fn device_text(names: &SubjectNames, index: IfIndex) -> String {
    names.devices.get(&index).map_or_else(|| format!("#{}", index.0), ToString::to_string)
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
