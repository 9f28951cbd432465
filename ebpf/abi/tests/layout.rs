//! Sizes, offsets and golden bytes: a change here is a change of the layout.

use std::mem::{align_of, offset_of, size_of};

use abi::{
    Addr, BackendEntry, BackendId, BackendState, BackendStats, CgroupId, CidrKey, DeviceEntry, DeviceFlags,
    DeviceKind, DropReason, FrontendKey, FrontendKind, FrontendValue, Generation, IdKey, IdKind, Identity,
    IfIndex, LAYOUT_DIGEST, NodeAddrValue, PodEntry, PodFlags, PodId, PolicyId, PolicyKey, PolicyKind,
    PolicyRevision, PolicyValue, Port, PortClassId, PortClassKey, PortClassValue, Protocol, RuleId,
    ServiceEntry, ServiceFlags, ServiceId, ServiceStats, SetWord, SockHint, SockPeer, SockUdpFwdKey,
    SockUdpFwdValue, SockUdpKey, SockUdpValue, maps::MAPS,
};
use zerocopy::IntoBytes;

const VIP: Addr = Addr::v4([10, 96, 44, 10]);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn sizes_and_alignments_are_those_of_layout_1() {
    let table: [(&str, usize, usize, usize, usize); 23] = [
        ("Addr", size_of::<Addr>(), align_of::<Addr>(), 16, 4),
        ("FrontendKey", size_of::<FrontendKey>(), align_of::<FrontendKey>(), 20, 4),
        ("FrontendValue", size_of::<FrontendValue>(), align_of::<FrontendValue>(), 8, 4),
        ("CidrKey", size_of::<CidrKey>(), align_of::<CidrKey>(), 20, 4),
        ("ServiceEntry", size_of::<ServiceEntry>(), align_of::<ServiceEntry>(), 32, 8),
        ("BackendEntry", size_of::<BackendEntry>(), align_of::<BackendEntry>(), 36, 4),
        ("NodeAddrValue", size_of::<NodeAddrValue>(), align_of::<NodeAddrValue>(), 4, 4),
        ("SockPeer", size_of::<SockPeer>(), align_of::<SockPeer>(), 44, 4),
        ("SockUdpKey", size_of::<SockUdpKey>(), align_of::<SockUdpKey>(), 32, 8),
        ("SockUdpValue", size_of::<SockUdpValue>(), align_of::<SockUdpValue>(), 20, 4),
        ("SockUdpFwdKey", size_of::<SockUdpFwdKey>(), align_of::<SockUdpFwdKey>(), 32, 8),
        ("SockUdpFwdValue", size_of::<SockUdpFwdValue>(), align_of::<SockUdpFwdValue>(), 8, 4),
        ("PolicyKey", size_of::<PolicyKey>(), align_of::<PolicyKey>(), 8, 4),
        ("PolicyValue", size_of::<PolicyValue>(), align_of::<PolicyValue>(), 12, 4),
        ("PortClassKey", size_of::<PortClassKey>(), align_of::<PortClassKey>(), 12, 4),
        ("PortClassValue", size_of::<PortClassValue>(), align_of::<PortClassValue>(), 8, 4),
        ("PolicyRevision", size_of::<PolicyRevision>(), align_of::<PolicyRevision>(), 8, 8),
        ("CgroupId", size_of::<CgroupId>(), align_of::<CgroupId>(), 8, 8),
        ("DeviceEntry", size_of::<DeviceEntry>(), align_of::<DeviceEntry>(), 48, 4),
        ("PodEntry", size_of::<PodEntry>(), align_of::<PodEntry>(), 24, 4),
        ("IdKey", size_of::<IdKey>(), align_of::<IdKey>(), 20, 4),
        ("ServiceStats", size_of::<ServiceStats>(), align_of::<ServiceStats>(), 32, 8),
        ("BackendStats", size_of::<BackendStats>(), align_of::<BackendStats>(), 8, 8),
    ];
    for (name, size, align, want_size, want_align) in table {
        assert_eq!((size, align), (want_size, want_align), "{name}");
    }
}

#[test]
fn the_words_that_user_space_stores_alone_are_aligned() {
    assert_eq!(offset_of!(ServiceEntry, cluster), 0);
    assert_eq!(offset_of!(ServiceEntry, local), 8);
    assert_eq!(offset_of!(ServiceEntry, flags), 16);
    // The mapping's stride is the value's size rounded up to 8: entries of 32 bytes keep every word aligned.
    assert_eq!(size_of::<ServiceEntry>() % 8, 0);
}

#[test]
fn keys_have_their_golden_bytes() {
    let key = FrontendKey::new(VIP, Port::new(80), Protocol::TCP);
    assert_eq!(hex(key.as_bytes()), "00000000000000000000ffff0a602c0a00500600");
    assert_eq!(hex(FrontendKey::other_ports(VIP).as_bytes()), "00000000000000000000ffff0a602c0a00000000");
    assert_eq!(hex(CidrKey::new(Addr::v4([10, 96, 0, 0]), 108).as_bytes()), {
        "6c00000000000000000000000000ffff0a600000"
    });
    assert_eq!(
        hex(SockUdpKey::new(0x0102, VIP, Port::new(3000)).as_bytes()),
        "020100000000000000000000000000000000ffff0a602c0a0bb8000000000000"
    );
    assert_eq!(
        hex(SockUdpFwdKey::new(0x0102, VIP, Port::new(53)).as_bytes()),
        "020100000000000000000000000000000000ffff0a602c0a0035000000000000"
    );
    assert_eq!(
        hex(IdKey::new(IdKind::Service, [0xab; 16]).as_bytes()),
        "02000000abababababababababababababababab"
    );
}

#[test]
fn values_have_their_golden_bytes() {
    assert_eq!(hex(FrontendValue::new(ServiceId(7), FrontendKind::NodePort).as_bytes()), "0700000002000000");
    let service = ServiceEntry {
        cluster: SetWord::new(8, 3),
        local: SetWord::new(16, 1),
        flags: ServiceFlags::INTERNAL_LOCAL.with(ServiceFlags::EXTERNAL_LOCAL),
        affinity_secs: 10_800,
        ..ServiceEntry::empty(Generation(2))
    };
    assert_eq!(
        hex(service.as_bytes()),
        "08000000030000001000000001000000\
         03000000302a00000200000000000000"
    );
    let backend = BackendEntry {
        service: ServiceId(7),
        generation: Generation(1),
        node: 2,
        zone: 3,
        state: BackendState::Live as u8,
        local: 1,
        addr: Addr::v4([10, 244, 1, 5]),
        port: Port::new(3000),
        _pad: [0; 2],
    };
    assert_eq!(
        hex(backend.as_bytes()),
        "0700000001000000020000000300010100000000000000000000ffff0af401050bb80000"
    );
    assert_eq!(
        hex(SockPeer {
            backend: BackendId(5),
            generation: Generation(1),
            vip: VIP,
            port: Port::new(80),
            backend_port: Port::new(3000),
            backend_addr: Addr::v4([10, 244, 1, 7]),
        }
        .as_bytes()),
        "050000000100000000000000000000000000ffff0a602c0a00500bb800000000000000000000ffff0af40107"
    );
    assert_eq!(
        hex(SockUdpValue::new(VIP, Port::new(80)).as_bytes()),
        "00000000000000000000ffff0a602c0a00500000"
    );
    let fwd = SockUdpFwdValue { backend: BackendId(5), generation: Generation(1) };
    assert_eq!(hex(fwd.as_bytes()), "0500000001000000");
}

#[test]
fn rows_of_policy_have_their_golden_bytes() {
    assert_eq!(hex(PolicyKey::new(PolicyId(7), Identity(9)).as_bytes()), "0700000009000000");
    assert_eq!(PolicyKey::any(PolicyId(7)), PolicyKey::new(PolicyId(7), Identity::ANY));
    assert_eq!(hex(PolicyValue::deny_all(RuleId(5)).as_bytes()), "050000000000000000000000");
    assert_eq!(hex(PolicyValue::allow_all(RuleId(5)).as_bytes()), "050000000000000001000000");
    let value = PolicyValue::ports(PortClassId(3), RuleId(5));
    assert_eq!(hex(value.as_bytes()), "050000000300000002000000");
    assert_eq!((value.rule(), value.class(), value.kind_code()), (RuleId(5), PortClassId(3), 2));
    let https = PortClassKey::new(PortClassId(3), Protocol::TCP, Port::new(443), 16);
    assert_eq!(hex(https.as_bytes()), "4000000003000000060001bb");
    assert_eq!(https, PortClassKey::lookup(PortClassId(3), Protocol::TCP, Port::new(443)));
    let all_udp = PortClassKey::new(PortClassId(3), Protocol::UDP, Port::ANY, 0);
    assert_eq!(hex(all_udp.as_bytes()), "300000000300000011000000");
    assert_eq!((all_udp.port_bits(), https.port_bits()), (0, 16));
    assert_eq!(hex(PortClassValue::allow(RuleId(5)).as_bytes()), "0500000001000000");
    assert_eq!(hex(PortClassValue::deny(RuleId(5)).as_bytes()), "0500000000000000");
    assert_eq!(hex(PolicyRevision(0x0102).as_bytes()), "0201000000000000");
}

#[test]
fn rows_of_subjects_have_their_golden_bytes() {
    let l3 = DeviceFlags::L3.with(DeviceFlags::BRIDGE_PORT);
    let mut device =
        DeviceEntry::new(DeviceKind::Pod, l3, 1500).with_snat(VIP).with_snat(Addr::v6([0xfd; 16]));
    (device.pod, device.mac) = (PodId(7), [2, 0, 0, 0, 0, 9]);
    assert_eq!(
        hex(device.as_bytes()),
        "07000000dc0500000103020000000009\
         00000000000000000000ffff0a602c0a\
         fdfdfdfdfdfdfdfdfdfdfdfdfdfdfdfd"
    );
    assert_eq!((device.snat_toward(Addr::v4([1; 4])), device.kind_code()), (VIP, 1));
    assert_eq!(device.snat_toward(Addr::v6([1; 16])), Addr::v6([0xfd; 16]));
    let bare = DeviceEntry::new(DeviceKind::Overlay, DeviceFlags::L3, 1420);
    assert_eq!(bare.snat_toward(VIP), VIP.any_of_family());
    assert_eq!(bare.snat_toward(Addr::v6([1; 16])), Addr::ANY_V6);
    let pod = PodEntry {
        egress: PolicyId(3),
        ingress: PolicyId(4),
        ifindex: IfIndex(9),
        mac: [2, 0, 0, 0, 0, 8],
        ..PodEntry::new(Generation(5), PodFlags::NO_SOCKET_LB.with(PodFlags::ADDRESSED))
    };
    assert_eq!(hex(pod.as_bytes()), "030000000400000009000000050000000d00020000000008");
    assert_eq!(
        hex(PodEntry::gone(Generation(5)).as_bytes()),
        "000000000000000000000000050000000000000000000000"
    );
    assert_eq!(hex(CgroupId(0x0102).as_bytes()), "0201000000000000");
}

#[test]
fn ids_of_pods_that_mean_something_are_never_given_out() {
    let reserved = [PodId::NONE, PodId::HOST, PodId::REFUSED];
    assert!(reserved.iter().all(|id| *id < PodId::FIRST));
    assert!(!PodEntry::gone(Generation(1)).flags.has(PodFlags::KNOWN));
    assert!(PodEntry::new(Generation(1), PodFlags::default()).flags.has(PodFlags::KNOWN));
    for kind in [DeviceKind::Pod, DeviceKind::Uplink, DeviceKind::Overlay] {
        assert_eq!(DeviceKind::try_from(kind as u8), Ok(kind));
    }
    assert!(DeviceKind::try_from(0).is_err());
    assert_eq!(IdKind::try_from(9), Ok(IdKind::Pod));
}

#[test]
fn zeroed_rows_of_policy_deny() {
    assert_eq!(PolicyKind::try_from(0), Ok(PolicyKind::DenyAll));
    assert!(!PortClassValue::deny(RuleId::NONE).is_allow());
    assert!(PortClassValue::allow(RuleId::NONE).is_allow());
    assert_ne!(
        PolicyRevision::default(),
        PolicyRevision::CLOSED,
        "no policy and a closed one are told apart"
    );
}

#[test]
fn a_v4_mapped_address_is_the_ipv4_address() {
    assert_eq!(Addr::v6(VIP.octets()), VIP);
    assert!(VIP.is_v4());
    assert!(!Addr::ANY_V6.is_v4());
    assert_eq!(VIP.any_of_family(), Addr::ANY_V4);
    assert_eq!(Addr::v6([0xfd; 16]).any_of_family(), Addr::ANY_V6);
    assert_ne!(Addr::ANY_V4, Addr::ANY_V6);
}

#[test]
fn what_the_kernel_takes_for_loopback_is_told_apart() {
    let v6 = |last: u8| Addr::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    for addr in [Addr::v4([127, 0, 0, 1]), Addr::v4([127, 9, 9, 9]), Addr::ANY_V4, Addr::ANY_V6, v6(1)] {
        assert!(addr.is_loopback_or_unspecified(), "{addr}");
    }
    for addr in [Addr::v4([126, 0, 0, 1]), Addr::v4([0, 0, 0, 1]), VIP, v6(2), Addr::v6([0xfd; 16])] {
        assert!(!addr.is_loopback_or_unspecified(), "{addr}");
    }
}

#[test]
fn addresses_and_ports_sort_by_number() {
    assert!(Addr::v4([10, 0, 0, 2]) < Addr::v4([10, 0, 1, 1]));
    assert!(Addr::ANY_V6 < Addr::ANY_V4);
    assert!(Addr::ANY_V4 < Addr::v6([0xfd; 16]));
    assert!(Port::new(255) < Port::new(256));
}

#[test]
fn ports_keep_network_order() {
    let port = Port::new(0x1234);
    assert_eq!(port.as_bytes(), [0x12, 0x34]);
    assert_eq!(Port::from_net(port.to_net()), port);
    assert_eq!(port.get(), 0x1234);
}

#[test]
fn set_words_hold_any_base_and_count() {
    for (base, count) in [(0, 0), (1, 2), (u32::MAX, 1), (8, u32::MAX)] {
        let word = SetWord::new(base, count);
        assert_eq!((word.base(), word.count()), (base, count));
    }
}

#[test]
fn codes_decode_to_what_they_encode() {
    for kind in [
        FrontendKind::ClusterIp,
        FrontendKind::NodePort,
        FrontendKind::ExternalIp,
        FrontendKind::LoadBalancer,
        FrontendKind::OtherPorts,
    ] {
        assert_eq!(FrontendKind::try_from(kind as u8), Ok(kind));
    }
    for state in [BackendState::Gone, BackendState::Live, BackendState::Terminating] {
        assert_eq!(BackendState::try_from(state as u8), Ok(state));
    }
    for kind in [PolicyKind::DenyAll, PolicyKind::AllowAll, PolicyKind::Ports] {
        assert_eq!(PolicyKind::try_from(kind as u8), Ok(kind));
    }
    let kinds = [IdKind::Layout, IdKind::Service, IdKind::Node, IdKind::Zone];
    let policy_kinds = [IdKind::Identity, IdKind::Policy, IdKind::PortClass, IdKind::Rule];
    for kind in kinds.into_iter().chain(policy_kinds) {
        assert_eq!(IdKind::try_from(kind as u32), Ok(kind));
    }
    assert!(PolicyKind::try_from(3).is_err());
    for reason in DropReason::ALL {
        assert_eq!(DropReason::try_from(reason as u32), Ok(reason));
        assert!((reason as u32) < DropReason::COUNT);
    }
    assert!(FrontendKind::try_from(0).is_err());
    assert!(BackendState::try_from(3).is_err());
    assert!(DropReason::try_from(0).is_err());
}

/// Cookies 262,144 apart share a byte; the tag tells 128 such from each other.
#[test]
fn a_socket_has_a_byte_of_the_hint_and_a_tag_in_it() {
    let hint = |line, byte, tag| SockHint { line, byte, tag };
    assert_eq!(SockHint::of(0), hint(0, 0, 0x80));
    assert_eq!(SockHint::of(63), hint(0, 63, 0x80));
    assert_eq!(SockHint::of(64), hint(1, 0, 0x80));
    assert_eq!(SockHint::of(262_143), hint(4_095, 63, 0x80));
    assert_eq!(SockHint::of(262_144), hint(0, 0, 0x81));
    assert_eq!(SockHint::of(262_144 * 127 + 65), hint(1, 1, 0xff));
    assert_eq!(SockHint::of(262_144 * 128 + 65), hint(1, 1, 0x80));
    assert_eq!(SockHint::of(u64::MAX), hint(4_095, 63, 0xff));
}

#[test]
fn the_table_of_maps_is_consistent() {
    for (i, m) in MAPS.iter().enumerate() {
        assert!(MAPS[..i].iter().all(|other| other.name != m.name), "{} twice", m.name);
        // BPF object names hold 15 bytes; a longer one could not be told apart in the kernel's lists.
        assert!(m.name.len() < 16, "{}", m.name);
        assert_ne!(m.default_entries, 0, "{}", m.name);
    }
}

#[test]
fn the_layouts_digest_is_known() {
    // A new digest recreates every pinned map: change it on purpose, with a changelog line.
    assert_eq!(hex(&LAYOUT_DIGEST), "1a0ee844f6fdbd9748a1947d32e1e300");
}
