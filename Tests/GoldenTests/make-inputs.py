#!/usr/bin/env python3
"""Makes the input captures of the golden cases, all of them or those named: make-inputs.py [CASE...].

A case is a function below whose name is the folder's, with - for _. It may say where each frame comes in by
send(interface, frame), and its topology by topology(text) or, for one in Topologies/, by topology_of(name). Frames are
ten milliseconds apart unless wait(seconds) stands between them. What must come out is written by
TAPLINE_GOLDEN=write swift test --filter GoldenTests, and read by you before it is committed.
"""
import ipaddress, os, struct, sys
from scapy.all import (ARP, Dot1Q, Ether, GRE, ICMP, IP, IPv6, Raw, TCP, UDP, fragment, ICMPv6DestUnreach,
                       ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6ExtHdrFragment, fragment6)
from scapy.layers.inet6 import ICMPv6PacketTooBig

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Topologies/access-circuits"))
import endpoint

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Cases")
cases = {}


def case(function):
    cases[function.__name__.replace("_", "-")] = function
    return function


class Case:
    """One case while it is made."""

    def __init__(self, name):
        self.folder = os.path.join(folder, name)
        self.time = 10_000_000_000
        self.frames = {}
        # The link types of devices that are not Ethernet.
        self.links = {}
        self.name = name

    def topology(self, text):
        self.name = text.split("name:")[1].split()[0]
        self.write("topology.yaml", text.lstrip("\n").encode())

    def topology_of(self, name):
        self.name = name
        self.write("topology", (name + "\n").encode())

    def write(self, name, octets):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, name), "wb") as file:
            file.write(octets)

    def wait(self, seconds):
        self.time += int(seconds * 1_000_000_000)

    def send(self, interface, frame, offload=bytes(10)):
        self.frames.setdefault(interface, []).append((self.time, offload, bytes(frame)))
        self.time += 10_000_000

    def mac(self, interface, node=""):
        """The MAC address that the planner gives: 64-bit FNV-1a over the names (Sources/Plan/GeneratedNames.swift).
        Without a node it is the engine's."""
        value = 0xCBF29CE484222325
        for part in (self.name, node, interface) if node else (self.name, "", interface):
            for octet in part.encode() + b"\0":
                value = (value ^ octet) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        bits = 0x020000000000 | (value ^ value >> 40) & 0xFFFFFFFFFF
        return ":".join(f"{bits >> shift & 0xFF:02x}" for shift in range(40, -8, -8))

    def frame(self, interface, node, packet, to=None):
        """A packet from a node to the engine."""
        kind = 0x86DD if isinstance(packet, IPv6) else 0x0800
        return Ether(src=self.mac(interface, node), dst=to or self.mac(interface), type=kind) / packet

    def close(self):
        for interface, frames in self.frames.items():
            offloaded = any(any(offload) for _, offload, _ in frames)
            octets = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 0x40000, self.links.get(interface, 147 if offloaded else 1))
            for time, offload, frame in frames:
                content = offload + frame if offloaded else frame
                octets += struct.pack("<IIII", time // 10**9, time % 10**9, len(content), len(content)) + content
            self.write(f"in-{interface}.pcap", octets)


def pseudo_sum(packet, number, length):
    """The sum that a partial checksum field holds."""
    octets = bytes(packet)
    octets = (octets[8:40] if octets[0] >> 4 == 6 else octets[12:20]) + struct.pack("!IxxxB", length, number)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


NETWORK = """
name: rewritten
interfaces:
  outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
  inside:  { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
customers:
  alice: { interface: outside, address: [192.0.2.10, "2001:db8:2::10"] }
applications:
  web: { send: network, attach: { in: { interface: inside, address: [198.18.4.9, "2001:db8:14::9"] } } }
services:
  site: { address: [203.0.113.80, "2001:db8:cb::80"], ports: [tcp/80, udp/7777, icmp], sequence: web }
"""
ALICE, ALICE6, SITE, SITE6 = "192.0.2.10", "2001:db8:2::10", "203.0.113.80", "2001:db8:cb::80"
WEB, WEB6 = "198.18.4.9", "2001:db8:14::9"


@case
def four_interface(c):
    """Requests and responses hop by hop, both families: copies to the detector and the firewall, and to the server."""
    c.topology_of("four-interface")
    for alice, shop, kind in ((ALICE, SITE, IP), (ALICE6, SITE6, IPv6)):
        request = kind(src=alice, dst=shop) / TCP(sport=40000, dport=80, flags="S", seq=7)
        response = kind(src=shop, dst=alice) / TCP(sport=80, dport=40000, flags="SA", seq=9, ack=8)
        c.send("customers", c.frame("customers", "alice", request))
        c.send("inspected", c.frame("inspected", "firewall", request))
        c.send("servers", c.frame("servers", "shop", response))
        c.send("inspection", c.frame("inspection", "firewall", response))
    # Bob has no way to alice's shop, and the shop does not answer for the library.
    c.send("customers", c.frame("customers", "bob", IP(src="192.0.2.20", dst=SITE) / TCP(sport=1, dport=80)))
    c.send("servers", c.frame("servers", "shop", IP(src="203.0.113.81", dst="192.0.2.20") / TCP(sport=80, dport=1)))


@case
def network_address(c):
    """The service address becomes the application's and back, in TCP, UDP (with and without a checksum) and ICMP."""
    c.topology(NETWORK)
    for alice, site, web, kind in ((ALICE, SITE, WEB, IP), (ALICE6, SITE6, WEB6, IPv6)):
        for upper in (TCP(sport=40000, dport=80, flags="S"), UDP(sport=41000, dport=7777) / Raw(b"what is it")):
            c.send("outside", c.frame("outside", "alice", kind(src=alice, dst=site) / upper))
        for upper in (TCP(sport=80, dport=40000, flags="SA"), UDP(sport=7777, dport=41000) / Raw(b"it is this")):
            c.send("inside", c.frame("inside", "web", kind(src=web, dst=alice) / upper))
    c.send("outside", c.frame("outside", "alice", IP(src=ALICE, dst=SITE) / UDP(sport=41000, dport=7777, chksum=0) / b"none"))
    c.send("outside", c.frame("outside", "alice", IP(src=ALICE, dst=SITE) / ICMP(id=1, seq=1) / b"echo"))
    c.send("inside", c.frame("inside", "web", IP(src=WEB, dst=ALICE) / ICMP(type=0, id=1, seq=1) / b"echo"))
    c.send("outside", c.frame("outside", "alice", IPv6(src=ALICE6, dst=SITE6) / ICMPv6EchoRequest(id=1, seq=1, data=b"echo")))


@case
def quoted_packets(c):
    """The rewrite is undone inside of ICMP errors: about requests, about responses, from the application, from a router."""
    c.topology(NETWORK)
    for alice, site, web, kind, error in (
        (ALICE, SITE, WEB, IP, ICMP(type=3, code=3)), (ALICE6, SITE6, WEB6, IPv6, ICMPv6DestUnreach(code=4)),
    ):
        request = kind(src=alice, dst=web) / TCP(sport=40000, dport=80, seq=7, flags="S")
        response = kind(src=site, dst=alice) / TCP(sport=80, dport=40000, seq=9, flags="SA")
        router = "192.0.2.254" if kind is IP else "2001:db8:2::fe"
        header = 20 if kind is IP else 40
        # From the application about a request that it got; from a router behind it; and cut behind eight octets.
        for sender, quote in ((web, bytes(request)), ("198.18.4.77" if kind is IP else "2001:db8:14::77", bytes(request)),
                              (web, bytes(request)[:header + 8])):
            c.send("inside", c.frame("inside", "web", kind(src=sender, dst=alice) / error / Raw(quote)))
        # From the customer, and from a router before it, about a response that seemed to come from the service.
        for sender in (alice, router):
            c.send("outside", c.frame("outside", "alice", kind(src=sender, dst=site) / error / Raw(bytes(response))))
    big = IPv6(src=ALICE6, dst=SITE6) / ICMPv6PacketTooBig(mtu=1300) / Raw(bytes(IPv6(src=SITE6, dst=ALICE6) / TCP(sport=80, dport=40000)))
    c.send("outside", c.frame("outside", "alice", big))
    c.send("outside", c.frame("outside", "alice", IP(src=ALICE, dst=SITE) / ICMP(type=3, code=4, nexthopmtu=1300)
                              / Raw(bytes(IP(src=SITE, dst=ALICE) / TCP(sport=80, dport=40000)))))


@case
def fragments(c):
    """First and later fragments take one way and are rewritten alike."""
    c.topology(NETWORK)
    for part in fragment(IP(src=ALICE, dst=SITE, id=77) / UDP(sport=41000, dport=7777) / Raw(b"x" * 3000), fragsize=1400):
        c.send("outside", c.frame("outside", "alice", part))
    whole = IPv6(src=ALICE6, dst=SITE6) / IPv6ExtHdrFragment(id=7) / UDP(sport=41000, dport=7777) / Raw(b"y" * 2500)
    for part in fragment6(whole, 1280):
        c.send("outside", c.frame("outside", "alice", part))


@case
def neighbours(c):
    """ARP and neighbour discovery for the engine's and the service's addresses, and for nobody else's."""
    c.topology(NETWORK)
    alice = c.mac("outside", "alice")
    for target in ("192.0.2.1", SITE, "192.0.2.10", "192.0.2.99", "198.18.4.1"):
        c.send("outside", Ether(src=alice, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=alice, psrc=ALICE, pdst=target))
    for target in ("2001:db8:2::1", SITE6, "fe80::1", "2001:db8:2::99"):
        low = target.split(":")[-1].zfill(4)
        group = "ff02::1:ff00:" + low
        group_mac = "33:33:ff:00:" + low[:2] + ":" + low[2:]
        c.send("outside", Ether(src=alice, dst=group_mac) / IPv6(src=ALICE6, dst=group, hlim=255)
               / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=alice))
    # One that came over a router is not to be believed.
    c.send("outside", Ether(src=alice, dst=c.mac("outside")) / IPv6(src=ALICE6, dst="2001:db8:2::1", hlim=254)
           / ICMPv6ND_NS(tgt="2001:db8:2::1") / ICMPv6NDOptSrcLLAddr(lladdr=alice))
    # A claim to the engine's own address.
    c.send("outside", Ether(src=alice, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=alice, psrc="192.0.2.1", pdst="192.0.2.1"))
    # A customer that the file does not name is asked for when a packet is for it, and gets what waited.
    c.send("inside", c.frame("inside", "web", IP(src=WEB, dst="192.0.2.77") / TCP(sport=80, dport=1234, flags="SA")))
    stranger = "02:aa:00:00:00:77"
    c.send("outside", Ether(src=stranger, dst=c.mac("outside"))
           / ARP(op=2, hwsrc=stranger, psrc="192.0.2.77", hwdst=c.mac("outside"), pdst="192.0.2.1"))
    c.send("inside", c.frame("inside", "web", IP(src=WEB, dst="192.0.2.77") / TCP(sport=80, dport=1234, flags="A")))


@case
def hop_limit(c):
    """The engine is a switch: a hop limit of one passes as it is, one of zero does not exist."""
    c.topology_of("four-interface")
    for limit in (255, 1, 0):
        c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst=SITE, ttl=limit) / TCP(sport=1, dport=80)))
        c.send("customers", c.frame("customers", "alice", IPv6(src=ALICE6, dst=SITE6, hlim=limit) / TCP(sport=1, dport=80)))


@case
def offload(c):
    """Segments larger than the MTU and partial checksums keep what their offload headers say, through a rewrite too."""
    c.topology(NETWORK)
    for alice, site, kind, gso, header in ((ALICE, SITE, IP, 1, 34), (ALICE6, SITE6, IPv6, 4, 54)):
        for size in (100, 4000):
            packet = kind(src=alice, dst=site) / TCP(sport=40000, dport=80, chksum=0) / Raw(b"s" * size)
            field = pseudo_sum(bytes(packet), 6, 20 + size)
            packet = kind(src=alice, dst=site) / TCP(sport=40000, dport=80, chksum=field) / Raw(b"s" * size)
            large = size > 1400
            vnet = struct.pack("<BBHHHH", 1, gso if large else 0, header + 20 if large else 0, 1400 if large else 0, header, 16)
            c.send("outside", c.frame("outside", "alice", packet), vnet)
    packet = IP(src=WEB, dst=ALICE) / UDP(sport=7777, dport=41000, chksum=0) / Raw(b"u" * 3000)
    packet = IP(src=WEB, dst=ALICE) / UDP(sport=7777, dport=41000, chksum=pseudo_sum(bytes(packet), 17, 3008)) / Raw(b"u" * 3000)
    c.send("inside", c.frame("inside", "web", packet), struct.pack("<BBHHHH", 1, 5, 42, 1000, 34, 6))
    # DATA_VALID speaks of the way in alone; a header that lies is dropped.
    plain = c.frame("outside", "alice", IP(src=ALICE, dst=SITE) / TCP(sport=40000, dport=80))
    c.send("outside", plain, struct.pack("<BBHHHH", 2, 0, 0, 0, 0, 0))
    c.send("outside", plain, struct.pack("<BBHHHH", 1, 0, 0, 0, 60000, 16))
    c.send("outside", plain, struct.pack("<BBHHHH", 0, 1, 54, 1000, 0, 0))


@case
def mtu(c):
    """What is too large for the next interface is answered, or fragmented where it may be; a copy is not."""
    c.topology_of("four-interface")
    for flags in ("DF", 0):
        packet = IP(src=ALICE, dst=SITE, flags=flags, id=5) / TCP(sport=1, dport=80) / Raw(b"m" * 1440)
        c.send("inspected", c.frame("inspected", "firewall", packet))
    c.send("inspected", c.frame("inspected", "firewall", IPv6(src=ALICE6, dst=SITE6) / TCP(sport=1, dport=80) / Raw(b"m" * 1400)))
    fits = IP(src=ALICE, dst=SITE, flags="DF") / TCP(sport=1, dport=80) / Raw(b"m" * 1360)
    c.send("inspected", c.frame("inspected", "firewall", fits))
    # A partial checksum is completed over the whole before it is cut.
    large = IP(src=ALICE, dst=SITE, id=6) / TCP(sport=1, dport=80, chksum=0) / Raw(b"p" * 1440)
    large = IP(src=ALICE, dst=SITE, id=6) / TCP(sport=1, dport=80, chksum=pseudo_sum(bytes(large), 6, 1460)) / Raw(b"p" * 1440)
    c.send("inspected", c.frame("inspected", "firewall", large), struct.pack("<BBHHHH", 1, 0, 0, 0, 34, 16))


@case
def errors(c):
    """Who sends to where nobody serves is told; who may not be answered is not."""
    c.topology_of("four-interface")
    for alice, shop, nobody, kind in ((ALICE, SITE, "203.0.113.9", IP), (ALICE6, SITE6, "2001:db8:cb::9", IPv6)):
        c.send("customers", c.frame("customers", "alice", kind(src=alice, dst=nobody) / UDP(sport=5, dport=6) / Raw(b"z" * 1300)))
        c.send("customers", c.frame("customers", "alice", kind(src=alice, dst=shop) / UDP(sport=5, dport=6)))
        c.send("customers", c.frame("customers", "alice", kind(src=alice, dst=nobody) / UDP(sport=5, dport=6)))
    unreachable = IP(src=ALICE, dst="203.0.113.9") / ICMP(type=3, code=1) / Raw(bytes(IP(src="203.0.113.9", dst=ALICE) / UDP()))
    c.send("customers", c.frame("customers", "alice", unreachable))


@case
def copies_everything(c):
    """A detector gets what arrives as it arrives, what is dropped too, and nothing twice."""
    c.topology("""
name: everything
interfaces:
  customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
  inspection: { address: 198.18.2.1/24 }
  inspected:  { address: 198.18.3.1/24 }
  servers:    { address: 198.18.4.1/24 }
customers:
  alice: { interface: customers, address: [192.0.2.10, "2001:db8:2::10"] }
applications:
  ids:      { passive: true, copies: everything, attach: inspection }
  firewall: { attach: { in: inspection, out: inspected } }
  web:      { attach: servers }
services:
  shop: { address: 203.0.113.80, ports: tcp/80, distribute: [ids, firewall], sequence: [firewall, web] }
""")
    engine, alice = c.mac("customers"), c.mac("customers", "alice")
    request = IP(src=ALICE, dst=SITE) / TCP(sport=1, dport=80)
    c.send("customers", c.frame("customers", "alice", request))
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst=SITE) / TCP(sport=1, dport=80, chksum=1)))
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst=SITE, chksum=1) / TCP(sport=1, dport=80)))
    c.send("customers", c.frame("customers", "alice", IP(src="127.0.0.1", dst=SITE) / TCP(sport=1, dport=80)))
    c.send("customers", Ether(src=alice, dst=engine) / Dot1Q(vlan=5) / request)
    c.send("customers", Ether(src=alice, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(b"lldp" * 12))
    c.send("customers", Ether(bytes.fromhex("0180c2000000") + bytes.fromhex(alice.replace(":", "")) + b"\x00\x26\x42\x42\x03" + b"stp" * 15))
    c.send("customers", c.frame("customers", "alice", request, to="02:12:34:56:78:9a"))
    c.send("customers", Ether(src=alice, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=alice, psrc=ALICE, pdst="192.0.2.1"))
    c.send("customers", Raw(b"short"))
    # Two segments that are coalesced on their way to the firewall, and one that its sender left to be cut up.
    for number in range(2):
        c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst=SITE, id=number) / TCP(sport=2, dport=80, seq=1 + number * 100, flags="A") / Raw(b"d" * 100)))
    # From the firewall on the interface that the detector shares with it; nothing of what it says itself.
    c.send("inspection", c.frame("inspection", "firewall", IP(src=SITE, dst=ALICE) / TCP(sport=80, dport=1, flags="SA")))
    c.send("inspection of ids", Ether(src=c.mac("inspection of ids", "ids"), dst=c.mac("inspection of ids")) / request)
    # What arrives where it gets no copies of.
    c.send("servers", c.frame("servers", "web", IP(src=SITE, dst=ALICE) / TCP(sport=80, dport=1, flags="SA")))


@case
def echo(c):
    """The engine answers echo for its own addresses, and nothing else."""
    c.topology_of("four-interface")
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst="192.0.2.1", tos=0x20) / ICMP(id=3, seq=4) / Raw(b"q" * 60)))
    c.send("customers", c.frame("customers", "alice", IPv6(src=ALICE6, dst="2001:db8:2::1") / ICMPv6EchoRequest(id=3, data=b"w" * 60)))
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst="198.18.4.1") / ICMP(id=3, seq=5)))
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst="192.0.2.1") / ICMP(id=3, seq=6, chksum=1)))
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst="192.0.2.1") / TCP(dport=22)))


@case
def drops(c):
    """Nothing of this goes anywhere, and each frame is counted."""
    c.topology_of("four-interface")
    request = IP(src=ALICE, dst=SITE) / TCP(sport=1, dport=80)
    good = bytes(c.frame("customers", "alice", request))
    engine, alice = c.mac("customers"), c.mac("customers", "alice")
    c.send("customers", Ether(src=alice, dst=engine) / Dot1Q(vlan=5) / request)
    c.send("customers", Ether(src=alice, dst=engine, type=0x88CC) / Raw(b"lldp" * 12))
    c.send("customers", c.frame("customers", "alice", request, to="02:12:34:56:78:9a"))
    c.send("customers", Ether(src=engine, dst=engine) / request)
    c.send("customers", good[:30])
    c.send("customers", good[:10])
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst=SITE, chksum=1) / TCP(dport=80)))
    c.send("customers", c.frame("customers", "alice", IP(src="127.0.0.1", dst=SITE) / TCP(dport=80)))
    c.send("customers", c.frame("customers", "alice", IP(src="224.0.0.1", dst=SITE) / TCP(dport=80)))
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst=SITE, len=2000) / TCP(dport=80)))
    c.send("customers", c.frame("customers", "alice", IP(src=ALICE, dst=SITE, frag=8191) / Raw(b"d" * 64)))
    # The detector has nothing to say.
    c.send("inspection", c.frame("inspection", "ids", IP(src=SITE, dst=ALICE) / TCP(sport=80, dport=1, flags="R")))


@case
def broadcasts(c):
    """Broadcast and multicast serve nobody, and a unicast packet in a broadcast frame is forwarded by nobody."""
    c.topology_of("four-interface")
    alice = c.mac("customers", "alice")
    everybody = "ff:ff:ff:ff:ff:ff"
    c.send("customers", Ether(src=alice, dst=everybody) / IP(src=ALICE, dst="255.255.255.255") / UDP(sport=68, dport=67))
    c.send("customers", Ether(src=alice, dst=everybody) / IP(src=ALICE, dst="192.0.2.255") / UDP(sport=5, dport=6))
    c.send("customers", Ether(src=alice, dst=everybody) / IP(src=ALICE, dst=SITE) / TCP(sport=1, dport=80))
    c.send("customers", Ether(src=alice, dst="01:00:5e:00:00:fb") / IP(src=ALICE, dst="224.0.0.251") / UDP(sport=5353, dport=5353))
    c.send("customers", Ether(src=alice, dst="33:33:00:00:00:fb") / IPv6(src=ALICE6, dst="ff02::fb") / UDP(sport=5353, dport=5353))


@case
def egress(c):
    """Everything that a customer sends passes a copy to the detector and the firewall, to a router, and comes back."""
    c.topology("""
name: egress-golden
interfaces:
  lan:    { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
  inside: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
  beyond: { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
  wan:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
customers:
  alice: { interface: lan, address: [192.0.2.10, "2001:db8:2::10"] }
applications:
  ids: { passive: true, attach: inside }
  fw:  { attach: { in: inside, out: beyond } }
routers:
  isp: { interface: wan }
services:
  internet: { address: [0.0.0.0/0, "::/0"], distribute: [ids, fw], sequence: [fw, isp] }
""")
    for alice, far, kind in ((ALICE, "93.184.216.34", IP), (ALICE6, "2606:2800:220:1::1", IPv6)):
        request = kind(src=alice, dst=far) / UDP(sport=41000, dport=7777) / Raw(b"out")
        response = kind(src=far, dst=alice) / UDP(sport=7777, dport=41000) / Raw(b"back")
        c.send("lan", c.frame("lan", "alice", request))
        c.send("beyond", c.frame("beyond", "fw", request))
        c.send("wan", c.frame("wan", "isp", response))
        c.send("inside", c.frame("inside", "fw", response))
    c.send("lan", c.frame("lan", "alice", IP(src=ALICE, dst="93.184.216.34") / GRE() / Raw(b"any protocol")))


@case
def circuits(c):
    """Customers on circuits of every kind: requests come behind headers, answers go behind them, both families; what the engine
    answers itself; and one frame for each malformation. The headers are from endpoint.py, which shares nothing with the engine."""
    c.topology_of("access-circuits")
    c.links = {"serial device": 107, "cells device": 123}
    customers = [
        ("alice", "tagged", "access", "vlan 100"), ("bob", "double", "access", "qinq 100.200"),
        ("carol", "labels", "access", "mpls 16001 16002"),
        ("dora", "wire", "access", "ethernet-over-mpls 16003 16004"),
        ("erin", "wire-fr", "access", "frame-relay 200 mpls 16005 16006"),
        ("frank", "wire-atm", "access", "atm 2 200 llc mpls 16007 16008"),
        ("gina", "serial", "serial device", "frame-relay 100"), ("hugo", "cells", "cells device", "atm 1 100 llc")]
    body = bytes(range(64))
    for number, (node, circuit, device, words) in enumerate(customers):
        mac = c.mac(circuit, node)
        end = endpoint.Circuit(words.split(), bytes.fromhex(mac.replace(":", "")))

        def send(packet):
            c.send(device, end.encode(bytes(c.frame(circuit, node, packet) if end.is_ethernet else packet)))
        own, gateway = f"192.0.2.{number * 8 + 2}", f"192.0.2.{number * 8 + 1}"
        families = [(own, SITE, IP)]
        if circuit not in ("wire-fr", "wire-atm"):
            families.append((f"2001:db8:2:{number + 1}::2", SITE6, IPv6))
        for address, shop, kind in families:
            request = kind(src=address, dst=shop) / TCP(sport=40000, dport=80, flags="PA", seq=7, ack=9) / Raw(body)
            response = kind(src=shop, dst=address) / TCP(sport=80, dport=40000, flags="A", seq=9, ack=8) / Raw(body)
            send(request)
            c.send("inspection", c.frame("inspection", "firewall", response))
        send(IP(src=own, dst=gateway) / ICMP(id=1, seq=number) / body)
        send(IP(src=own, dst=SITE, ttl=1) / TCP(sport=40000, dport=80) / body)
        if end.is_ethernet:
            question = ARP(hwsrc=mac, psrc=own, pdst=gateway)
            c.send(device, end.encode(bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / question)))

    def octets(text):
        return bytes.fromhex(text.replace(" ", ""))
    # The three kinds of status, and inverse ARP.
    for text in ("0001 0308 0075 510100 53020703", "0001 0308 0075 95010101 03020703", "fcf1 0309 0075 010100 03020703",
                 "1841 0300 80000000 0806 000f 0800 0204 0008 0000 c0000232 0000 00000000"):
        c.send("serial device", octets(text))
    # Malformations.
    ends = octets((c.mac("tagged") + c.mac("tagged", "alice")).replace(":", ""))
    for text in ("8100 00", "8100 0000 0800", "8100 0064 8100 0064 8100 0064 0800", "8847 03e810ff",
                 "8847 00010040 00010040 00010040 00010140", "8847" + "00000040" * 9, "8847 00003140", "8847 03e81101",
                 "8847 03e81140 10000000", "8847 03e83140 0000", "8847 03e83140 10000000", "8847 03e83140 00000000 00",
                 "8100 0065 0800", "8847 03e8b140"):
        c.send("access", ends + octets(text))
    for text in ("18", "1840 03cc", "1841 0381", "0001 0308", "1841 0300 80000000 0806 000f", "1851 03cc"):
        c.send("serial device", octets(text))
    for text in ("0201", "02010064 fefe03cc 00000000", "02010065"):
        c.send("cells device", octets(text))


if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in cases]
    if unknown:
        sys.exit(f"no such case: {', '.join(unknown)}; there are {', '.join(cases)}")
    for name in sys.argv[1:] or cases:
        made = Case(name)
        cases[name](made)
        made.close()
