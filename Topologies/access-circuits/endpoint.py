#!/usr/bin/env python3
"""The customer's end of a circuit: the device that a router at the customer's site would have.

    endpoint.py vlan 100                        endpoint.py mpls OUT IN
    endpoint.py qinq 100.200                    endpoint.py ethernet-over-mpls OUT IN [no-control-word]
    endpoint.py frame-relay DLCI [mpls OUT IN]  endpoint.py atm VPI VCI llc|vc-mux [mpls OUT IN]

It reads and writes frames on the node's device (TAPLINE_IN), and has a device `line` of its own, with the node's address and a
default route, whose packets are behind the headers. OUT is the label that it sends, which is the engine's `in`.

It shares no code with the engine: it is the second reading of RFC 3032, 4448, 2427, 4619, 2684 and 4717. `encode` and `decode`
are pure; the tests compare them with the engine's octets.
"""
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

SOL_PACKET, PACKET_AUXDATA = 263, 8
ETHER = {4: 0x0800, 6: 0x86DD}
POINT_TO_POINT = bytes.fromhex("01005e900000")  # RFC 7213: the other end of a link of two


def entry(label, bottom=1, ttl=255):
    return struct.pack("!I", label << 12 | bottom << 8 | ttl)


class Circuit:
    """What stands before a frame, and what is left of one. `mac` is the node's own address."""

    def __init__(self, words, mac=bytes.fromhex("02000000000a")):
        self.kind, rest = words[0], list(words[1:])
        self.mac, self.word = mac, True
        self.labels = None
        if "no-control-word" in rest:
            rest.remove("no-control-word")
            self.word = False
        if "mpls" in rest:
            at = rest.index("mpls")
            self.labels = [int(label) for label in rest[at + 1:at + 3]]
            rest = rest[:at]
        if self.kind == "vlan":
            self.tags = [(0x8100, int(rest[0]))]
        elif self.kind == "qinq":
            outer, inner = rest[0].split(".")
            self.tags = [(0x88A8, int(outer)), (0x8100, int(inner))]
        elif self.kind in ("mpls", "ethernet-over-mpls"):
            self.labels = [int(label) for label in rest]
        elif self.kind == "frame-relay":
            self.dlci = int(rest[0])
        elif self.kind == "atm":
            self.path, self.channel, self.mux = int(rest[0]), int(rest[1]), rest[2]
        else:
            sys.exit(f"unknown circuit {self.kind}")

    @property
    def is_ethernet(self):
        """Whether `line` has Ethernet frames."""
        return self.kind in ("vlan", "qinq", "ethernet-over-mpls")

    @property
    def has_ethernet(self):
        """Whether the node's device has Ethernet frames."""
        return self.is_ethernet or self.labels is not None

    def header(self, packet):
        """The frame relay or AAL5 header of a packet, without the circuit's number."""
        version = packet[0] >> 4
        if self.kind == "frame-relay":
            return bytes([0x03, 0xCC if version == 4 else 0x8E])
        if self.mux == "vc-mux":
            return b""
        return bytes([0xAA, 0xAA, 0x03, 0, 0, 0]) + struct.pack("!H", ETHER[version])

    def number(self):
        """The Q.922 address, or the cell header of SunATM."""
        if self.kind == "frame-relay":
            return bytes([self.dlci >> 4 << 2, (self.dlci & 15) << 4 | 1])
        return struct.pack("!BBH", 2 if self.mux == "llc" else 0, self.path, self.channel)

    def control_word(self, payload):
        length = len(payload) + 4
        return struct.pack("!BBH", 0, length if length < 64 else 0, 0)

    def encode(self, frame):
        """The octets on the node's device for a frame or packet of `line`."""
        if self.kind in ("vlan", "qinq"):
            tags = b"".join(struct.pack("!HH", *tag) for tag in self.tags)
            return frame[:12] + tags + frame[12:]
        if self.labels is None:
            return self.number() + self.header(frame) + frame
        outer = POINT_TO_POINT + self.mac + struct.pack("!H", 0x8847) + entry(self.labels[0])
        if self.kind == "mpls":
            return outer + frame
        if self.kind == "ethernet-over-mpls":
            return outer + (bytes(4) if self.word else b"") + frame
        payload = self.header(frame) + frame
        return outer + self.control_word(payload) + payload

    def decode(self, octets):
        """The frame or packet for `line`; None if it is of another circuit, or nothing for it."""
        if self.kind in ("vlan", "qinq"):
            tags = b"".join(struct.pack("!HH", *tag) for tag in self.tags)
            return octets[:12] + octets[12 + len(tags):] if octets[12:12 + len(tags)] == tags else None
        if self.labels is None:
            number = self.number()
            if octets[:len(number)] != number:
                return None
            rest = octets[len(number):]
        else:
            if octets[12:14] != b"\x88\x47" or len(octets) < 18:
                return None
            word = struct.unpack("!I", octets[14:18])[0]
            if word >> 12 != self.labels[1] or not word & 0x100:
                return None
            rest = octets[18:]
            if self.kind == "mpls":
                return rest
            if self.word or self.kind != "ethernet-over-mpls":
                length = rest[1] & 63
                rest = rest[4:length] if length and self.kind != "ethernet-over-mpls" else rest[4:]
            if self.kind == "ethernet-over-mpls":
                return rest
        for version in (4, 6):
            header = self.header(bytes([version << 4]))
            if rest.startswith(header) and rest[len(header):len(header) + 1] and rest[len(header)] >> 4 == version:
                return rest[len(header):]
        return None


def open_line(circuit):
    """The device `line`: a TAP or a TUN without further headers."""
    line = os.open("/dev/net/tun", os.O_RDWR)
    flags = (2 if circuit.is_ethernet else 1) | 0x1000
    fcntl.ioctl(line, 0x400454CA, struct.pack("16sH22x", b"line", flags))
    return line


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check)


def configure(circuit, mtu):
    if circuit.is_ethernet:
        ip("link", "set", "line", "address", ":".join(f"{octet:02x}" for octet in circuit.mac))
    ip("link", "set", "line", "mtu", mtu, "up")
    for suffix, family, length in (("", "-4", "32"), ("6", "-6", "128")):
        address = os.environ.get("TAPLINE_IN_ADDRESS" + suffix)
        gateway = os.environ.get("TAPLINE_IN_GATEWAY" + suffix)
        if not address:
            continue
        ip(family, "address", "add", f"{address}/{length}", "dev", "line", *(["nodad"] if suffix else []))
        if not gateway:
            continue
        ip(family, "route", "add", gateway, "dev", "line")
        via = ["via", gateway] if circuit.is_ethernet else []
        ip(family, "route", "add", "default", *via, "dev", "line", "src", address)


def receive(port):
    """A frame as it was on the device; None for one that this program sent. The kernel takes the outer tag off, and tells it apart."""
    octets, ancillary, _, (_, _, kind, _, _) = port.recvmsg(65536, 64)
    if kind == socket.PACKET_OUTGOING:
        return None
    for level, what, data in ancillary:
        if (level, what) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tag, protocol = struct.unpack("IIIHHHH", data[:20])
            if status & 0x10:
                return octets[:12] + struct.pack("!HH", protocol if status & 0x40 else 0x8100, tag) + octets[12:]
    return octets


def main(words):
    device = os.environ["TAPLINE_IN"]
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    port.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    port.bind((device, 0))
    circuit = Circuit(words, port.getsockname()[4])
    line = open_line(circuit)
    configure(circuit, os.environ["TAPLINE_IN_MTU"])
    print("the circuit is up", flush=True)
    while True:
        for ready in select.select([line, port], [], [])[0]:
            if ready is line:
                port.send(circuit.encode(os.read(line, 65536)))
                continue
            octets = receive(port)
            frame = circuit.decode(octets) if octets else None
            if frame:
                os.write(line, frame)


if __name__ == "__main__":
    main(sys.argv[1:])
