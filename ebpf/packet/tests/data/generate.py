"""Writes the golden packets of this folder with scapy 2.8.0, an implementation that shares nothing with ours.

    python3 -m venv /tmp/scapy && /tmp/scapy/bin/pip install scapy==2.8.0 && /tmp/scapy/bin/python generate.py

One case a line, fields separated by blanks, packets in hex from the Ethernet header on. Packets after a change are
built anew, never changed: scapy computes their checksums over all bytes.
"""

import logging
import os
import random

from scapy.all import (
    GRE, ICMP, IP, SCTP, TCP, UDP, Ether, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NS,
    ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPOption_NOP, IPOption_RR, IPv6, IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, Raw, SCTPChunkData, fragment, fragment6, raw,
)

# Transports are also built alone, for their length: without a pseudo header.
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

HERE = os.path.dirname(os.path.abspath(__file__))
RANDOM = random.Random(7)
ETHER = dict(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
CLIENT = {4: "10.1.2.3", 6: "fd00:1::3"}
VIP = {4: "10.96.0.10", 6: "fd00:96::a"}
BACKEND = {4: "10.244.7.200", 6: "fd00:244:7::c8"}
NODE = {4: "192.0.2.77", 6: "2001:db8::77"}


def payload(length):
    return Raw(bytes(RANDOM.randrange(256) for _ in range(length)))


def write(name, header, lines):
    with open(os.path.join(HERE, name), "w") as out:
        out.write(f"# {header}\n")
        for line in lines:
            out.write(" ".join(str(field) for field in line) + "\n")


def ether(packet):
    return raw(Ether(**ETHER) / packet).hex()


def ip(family, src, dst, between=None, **fields):
    """A network header, with `between` (options or extensions) after it."""
    if family == 4:
        return IP(src=src, dst=dst, ttl=fields.get("ttl", 64), id=fields.get("id", 0x1234), options=between or [])
    header = IPv6(src=src, dst=dst, hlim=fields.get("ttl", 64), fl=0xBEEF)
    for extension in between or []:
        header = header / extension
    return header


class Flow:
    """A packet as a function of its ends, so that it can be built again after a translation."""

    def __init__(self, name, family, transport, between=lambda: None, cut=None, translates_ports=True):
        self.name, self.family, self.transport = f"v{family}-{name}", family, transport
        self.between, self.cut, self.translates_ports = between, cut, translates_ports

    def build(self, src, sport, dst, dport, **fields):
        packet = ip(self.family, src, dst, self.between(), **fields) / self.transport(sport, dport)
        return self.cut(packet) if self.cut else packet


def udp_that_sums_to_zero(family, src, sport, dst, dport):
    """A payload with which the checksum of this very packet is zero, sent as ffff."""
    base = ip(family, src, dst) / UDP(sport=sport, dport=dport) / Raw(b"\0\0")
    rest = int.from_bytes(raw(base)[-4:-2], "big")
    return Raw(rest.to_bytes(2, "big"))


def flows():
    body = payload(33)
    tcp_options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("NOP", None), ("WScale", 7)]
    pad = lambda: [PadN(optdata=b"\0" * 4)]
    hop = lambda: IPv6ExtHdrHopByHop(options=pad())
    dst = lambda: IPv6ExtHdrDestOpt(options=pad())
    routing = lambda: IPv6ExtHdrRouting(type=2, segleft=0, addresses=["fd00:5::1"])
    chunk = lambda n: SCTPChunkData(data=bytes(i % 256 for i in range(n)))
    all_flows = []
    for family in (4, 6):
        long_body = payload(300 if family == 4 else 1500)
        tcp = lambda s, d: TCP(sport=s, dport=d, seq=0x01020304, ack=0x0A0B0C0D, flags="PA") / body
        syn = lambda s, d: TCP(sport=s, dport=d, seq=0xFFFFFFFF, flags="S", options=tcp_options)
        udp = lambda s, d: UDP(sport=s, dport=d) / body
        long_udp = lambda s, d: UDP(sport=s, dport=d) / long_body
        zero = udp_that_sums_to_zero(family, CLIENT[family], 40000, BACKEND[family], 8080)
        to_zero = lambda s, d, zero=zero: UDP(sport=s, dport=d) / zero
        sctp = lambda s, d: SCTP(sport=s, dport=d, tag=0xCAFE) / chunk(16)
        long_sctp = lambda s, d: SCTP(sport=s, dport=d, tag=0xCAFE) / chunk(1301)
        all_flows += [
            Flow("tcp", family, tcp), Flow("tcp-syn", family, syn), Flow("udp", family, udp),
            Flow("udp-to-zero", family, to_zero), Flow("sctp", family, sctp), Flow("sctp-long", family, long_sctp),
            Flow("gre", family, lambda s, d: GRE() / IP(src="1.2.3.4", dst="5.6.7.8") / body, translates_ports=False),
        ]
        if family == 4:
            options = lambda: [IPOption_RR(pointer=4, routers=["0.0.0.0"] * 3), IPOption_NOP()]
            all_flows += [
                Flow("udp-no-checksum", 4, lambda s, d: UDP(sport=s, dport=d, chksum=0) / body),
                Flow("tcp-options", 4, syn, options),
                Flow("udp-options", 4, udp, options),
                Flow("udp-first-fragment", 4, long_udp, cut=lambda p: fragment(p, fragsize=200)[0]),
                Flow("udp-later-fragment", 4, long_udp, cut=lambda p: fragment(p, fragsize=200)[1],
                     translates_ports=False),
                Flow("echo", 4, lambda s, d: ICMP(type=8, id=d, seq=3) / body),
                Flow("echo-reply", 4, lambda s, d: ICMP(type=0, id=d, seq=3) / body),
                Flow("timestamp", 4, lambda s, d: ICMP(type=13, id=1, seq=3, ts_ori=1, ts_rx=2, ts_tx=3), translates_ports=False),
            ]
        else:
            # fragment6 wants its header in the packet; the cut is made with a fixed identification.
            cut = lambda index: lambda p: fragment6(p, 1400)[index]
            frag = lambda: [IPv6ExtHdrFragment(id=0xDEADBEEF)]
            all_flows += [
                Flow("tcp-hop-by-hop", 6, tcp, lambda: [hop()]),
                Flow("udp-extensions", 6, udp, lambda: [hop(), dst(), routing(), dst()]),
                Flow("udp-atomic-fragment", 6, udp, frag),
                Flow("udp-first-fragment", 6, long_udp, frag, cut=cut(0)),
                Flow("udp-later-fragment", 6, long_udp, frag, cut=cut(1), translates_ports=False),
                Flow("echo", 6, lambda s, d: ICMPv6EchoRequest(id=d, seq=3, data=raw(body))),
                Flow("echo-reply", 6, lambda s, d: ICMPv6EchoReply(id=d, seq=3, data=raw(body))),
                Flow("neighbour", 6, lambda s, d: ICMPv6ND_NS(tgt="fd00::1"), translates_ports=False),
            ]
    return all_flows


def translations():
    """`dnat` and `snat` with their packets before and after."""
    for flow in flows():
        f = flow.family
        before = flow.build(CLIENT[f], 40000, VIP[f], 80)
        yield "dnat", flow.name, BACKEND[f], 8080, ether(before), ether(flow.build(CLIENT[f], 40000, BACKEND[f], 8080))
        if "echo" in flow.name:
            yield "snat", flow.name, NODE[f], 61000, ether(before), ether(flow.build(NODE[f], 40000, VIP[f], 61000))
        else:
            yield "snat", flow.name, NODE[f], 61000, ether(before), ether(flow.build(NODE[f], 61000, VIP[f], 80))


def hops():
    for flow in flows():
        if flow.family == 6 and flow.cut or "long" in flow.name:
            continue
        f = flow.family
        ends = (CLIENT[f], 40000, VIP[f], 80)
        yield flow.name, ether(flow.build(*ends, ttl=64)), ether(flow.build(*ends, ttl=63))
    for ttl in (256 - 1, 2):
        flow = flows()[0]
        ends = (CLIENT[4], 40000, VIP[4], 80)
        yield f"{flow.name}-{ttl}", ether(flow.build(*ends, ttl=ttl)), ether(flow.build(*ends, ttl=ttl - 1))


def errors(family):
    if family == 4:
        yield "port", lambda: ICMP(type=3, code=3)
        yield "mtu", lambda: ICMP(type=3, code=4, nexthopmtu=1400)
        yield "ttl", lambda: ICMP(type=11, code=0)
    else:
        yield "port", lambda: ICMPv6DestUnreach(code=4)
        yield "mtu", lambda: ICMPv6PacketTooBig(mtu=1400)
        yield "ttl", lambda: ICMPv6TimeExceeded(code=0)


def inner():
    """Errors that a router sends about what a backend answered and what a client sent, cut at several lengths."""
    for flow in flows():
        f = flow.family
        ends = (CLIENT[f], 40000, VIP[f], 80)
        after_dnat = (CLIENT[f], 40000, BACKEND[f], 8080)
        after_snat = (NODE[f], 40000, VIP[f], 61000) if "echo" in flow.name else (NODE[f], 61000, VIP[f], 80)
        packet = flow.build(*ends)
        header = len(raw(packet)) - len(raw(flow.transport(40000, 80)))
        if flow.cut:
            header = 20 if f == 4 else 48
        for quoted in (header + 8, header + 17, header + 18, header + 60):
            (name, error), = [e for e in errors(f) if e[0] == "mtu"]
            outer = lambda bytes_: ether(ip(f, "192.0.2.1" if f == 4 else "2001:db8::1", CLIENT[f]) / error() / Raw(bytes_))
            was = raw(packet)[:quoted]
            # What cannot follow stays as it was: a CRC, which covers what is not quoted, and half a checksum.
            whole = 8 if "sctp" in flow.name else 16 if quoted == header + 17 and "tcp" in flow.name else quoted
            keep = lambda now: now[:header + whole] + was[header + whole:]
            for op, ends_after, addr, port in (
                ("dnat", after_dnat, BACKEND[f], 8080), ("snat", after_snat, NODE[f], 61000),
            ):
                now = keep(raw(flow.build(*ends_after))[:quoted])
                yield op, f"{flow.name}-{quoted}", addr, port, outer(was), outer(now)


def answers():
    """ICMP errors that we send: error, name, our address, the packet, our message."""
    for flow in flows():
        if "later-fragment" in flow.name:
            continue
        f = flow.family
        frame = ether(flow.build(CLIENT[f], 40000, VIP[f], 80))
        packet = bytes.fromhex(frame)[14:]
        network = len(packet) - len(raw(flow.transport(40000, 80)))
        if flow.cut:
            network = 20 if f == 4 else 48
        quote = packet[:min(network + 20, len(packet), 108)]
        quote = Raw(quote[:len(quote) // 4 * 4])
        for name, error in errors(f):
            if f == 4:
                header = IP(src=NODE[4], dst=CLIENT[4], tos=0xC0, id=0, flags="DF", ttl=64)
            else:
                header = IPv6(src=NODE[6], dst=CLIENT[6], hlim=64)
            yield name, flow.name, NODE[f], frame, ether(header / error() / quote)


def resets():
    """Segments and the resets that answer them."""
    segments = [
        ("syn", dict(seq=0xFFFFFFFF, flags="S"), 0, dict(seq=0, ack=0, flags="RA")),
        ("syn-data", dict(seq=1000, flags="S"), 9, dict(seq=0, ack=1010, flags="RA")),
        ("fin", dict(seq=1000, flags="F"), 5, dict(seq=0, ack=1006, flags="RA")),
        ("none", dict(seq=1000, flags=""), 5, dict(seq=0, ack=1005, flags="RA")),
        ("ack", dict(seq=1000, ack=77, flags="A"), 5, dict(seq=77, ack=0, flags="R")),
        ("syn-ack", dict(seq=1000, ack=78, flags="SA"), 0, dict(seq=78, ack=0, flags="R")),
    ]
    for f in (4, 6):
        for name, fields, length, answer in segments:
            options = [("MSS", 1460)] if "syn" in name else []
            segment = TCP(sport=40000, dport=80, options=options, **fields) / payload(length)
            if f == 4:
                header = IP(src=VIP[4], dst=CLIENT[4], id=0, flags="DF", ttl=64)
            else:
                header = IPv6(src=VIP[6], dst=CLIENT[6], hlim=64)
            reset = TCP(sport=80, dport=40000, window=0, **answer)
            yield f"v{f}-{name}", ether(ip(f, CLIENT[f], VIP[f]) / segment), ether(header / reset)


write("nat.txt", "operation name address port before after", translations())
write("hops.txt", "name before after", hops())
write("inner.txt", "operation name address port before after", inner())
write("errors.txt", "error name from packet answer", answers())
write("resets.txt", "name segment answer", resets())
