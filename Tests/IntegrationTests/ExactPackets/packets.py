"""The packets that are sent, made octet by octet: the sender and the judge make the same ones from the same seed."""

import random
import socket
import struct

UDP, TCP, ICMP, ICMP6 = 17, 6, 1, 58
# Where the checksum stands in the upper-layer header.
CHECKSUM = {UDP: 6, TCP: 16, ICMP6: 2}
# Source ports of flows whose checksums are wrong on purpose; all other packets' are right.
WRONG = range(30_000, 32_000)
# Source ports of all flows that are made here; the kernels' own are above.
MADE = range(10_000, 32_000)
SOURCE = {4: "192.0.2.10", 6: "2001:db8:2::10"}
# The services, and the server's address where the last hop rewrites the destination.
SERVICES = {
    "plain": {4: "203.0.113.80", 6: "2001:db8:cb::80"},
    "large": {4: "203.0.113.81", 6: "2001:db8:cb::81"},
    "rewritten": {4: "203.0.113.82", 6: "2001:db8:cb::82"},
    "translated": {4: "203.0.113.83", 6: "2001:db8:cb::83"},
}
# What the last hop of the translated service adds to its ports.
SHIFT = 1_000
REWRITTEN = {4: "198.18.5.82", 6: "2001:db8:15::82"}


def total(data):
    """The one's complement sum of 16-bit words (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    value = sum(struct.unpack(f">{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return value


def as_sent(checksum, protocol):
    """The checksum as it is sent: in UDP alone zero means that there is none, and FFFF stands for it (RFC 768)."""
    return checksum or (0xFFFF if protocol == UDP else 0)


def octets(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def pseudo(source, destination, protocol, length):
    return octets(source) + octets(destination) + struct.pack(">IHBB", length, 0, 0, protocol)


def header4(source, destination, protocol, length, ttl=64, tos=0, ident=0, flags=0x4000, options=b""):
    """An IPv4 header; `flags` is the word of flags and fragment offset."""
    size = 20 + len(options)
    head = struct.pack(
        ">BBHHHBBH", 0x40 | size // 4, tos, size + length, ident & 0xFFFF, flags, ttl, protocol, 0)
    head += octets(source) + octets(destination) + options
    return head[:10] + struct.pack(">H", 0xFFFF - total(head)) + head[12:]


def header6(source, destination, protocol, length, ttl=64, tos=0, label=0):
    return struct.pack(">IHBB", 6 << 28 | tos << 20 | label, length, protocol, ttl) + octets(source) + octets(destination)


class Flow:
    """One flow of a customer's, with what its next packet's headers say."""

    def __init__(self, maker, protocol=UDP, wrong=False):
        self.maker, self.protocol, self.wrong = maker, protocol, wrong
        self.port = maker.port(wrong)
        self.ttl, self.tos, self.label, self.flags = 64, 0, 0, 0x4000
        self.ident, self.step = maker.random.randrange(1 << 16), 1
        self.options = b""
        self.sequence, self.acknowledged, self.window = maker.random.randrange(1 << 32), 77, 512

    def around(self, upper, protocol=None, flags=None):
        """The IP packet around an upper-layer packet."""
        protocol = protocol or self.protocol
        maker = self.maker
        if maker.family == 6:
            if self.options:
                upper, protocol = bytes([protocol, 0]) + b"\x01\x04\0\0\0\0" + upper, 60
            return header6(
                maker.source, maker.destination, protocol, len(upper), self.ttl, self.tos, self.label) + upper
        ident = self.ident
        self.ident += self.step
        return header4(
            maker.source, maker.destination, protocol, len(upper), self.ttl, self.tos, ident,
            self.flags if flags is None else flags, self.options) + upper

    def checksummed(self, upper, field, protocol=None):
        maker, protocol = self.maker, protocol or self.protocol
        value = 0xFFFF - total(pseudo(maker.source, maker.destination, protocol, len(upper)) + upper)
        if self.wrong:
            value ^= 0x0101
        return upper[:field] + struct.pack(">H", as_sent(value, protocol)) + upper[field + 2:]

    def summed_to_zero(self, size, destination, shift=None):
        """A packet whose checksum comes to zero where it is sent to `destination`, with ports that are shifted so."""
        data = bytearray(self.maker.random.randbytes(size))
        upper = self.upper(size, data=bytes(data), zero=True)
        upper, port = upper[:-2] + b"\0\0", upper[2:4]
        if shift is not None:
            base = struct.unpack(">H", port)[0] - self.maker.shift
            upper = upper[:2] + struct.pack(">H", base + shift) + upper[4:]
        rest = total(pseudo(self.maker.source, destination, self.protocol, len(upper)) + upper)
        upper = upper[:2] + port + upper[4:]
        return self.around(self.checksummed(upper[:-2] + struct.pack(">H", 0xFFFF - rest), CHECKSUM[self.protocol]))

    def segment(self, size, zero=False):
        """A UDP datagram or a TCP segment with its data, as an IP packet."""
        return self.around(self.upper(size, zero))

    def upper(self, size, zero=False, flags=0x10, extra=b"", data=None):
        """A UDP datagram or a TCP segment; with a checksum of zero where `zero` says so."""
        data = self.maker.random.randbytes(size) if data is None else data
        if self.protocol == UDP:
            datagram = struct.pack(">HHHH", self.port, 7 + self.maker.shift, 8 + size, 0) + data
            return datagram if zero else self.checksummed(datagram, CHECKSUM[UDP])
        segment = struct.pack(
            ">HHIIBBHHH", self.port, 9 + self.maker.shift, self.sequence & 0xFFFFFFFF, self.acknowledged, (20 + len(extra)) // 4 << 4,
            flags, self.window, 0, 0) + extra + data
        self.sequence += size
        return segment if zero else self.checksummed(segment, CHECKSUM[TCP])

    def tcp(self, size, flags=0x10, extra=b""):
        return self.around(self.upper(size, flags=flags, extra=extra))

    def fragments(self, size):
        """One datagram in fragments of 512 octets (IPv4)."""
        upper = self.upper(size)
        ident, step = self.ident, self.step
        self.step = 0
        pieces = []
        for offset in range(0, len(upper), 512):
            more = 0x2000 if offset + 512 < len(upper) else 0
            pieces.append(self.around(upper[offset:offset + 512], flags=more | offset // 8))
        self.ident, self.step = ident + 1, step
        return pieces

    def echo(self, number):
        """An echo request of this flow's identifier."""
        if self.maker.family == 4:
            request = struct.pack(">BBHHH", 8, 0, 0, self.port, number) + b"echo"
            request = request[:2] + struct.pack(">H", 0xFFFF - total(request)) + request[4:]
            return self.around(request, ICMP)
        request = struct.pack(">BBHHH", 128, 0, 0, self.port, number) + b"echo"
        return self.around(self.checksummed(request, CHECKSUM[ICMP6], ICMP6), ICMP6)


class Maker:
    """Makes a family's packets to one destination."""

    def __init__(self, seed, family, destination, service, shift=0):
        self.random = random.Random(f"{seed} {family}")
        rewrites = service == "rewritten"
        self.translates, self.shift = service == "translated", shift
        self.family, self.source, self.destination, self.rewrites = family, SOURCE[family], destination, rewrites
        self.ports = {False: MADE.start, True: WRONG.start}

    def port(self, wrong):
        self.ports[wrong] += 1
        return self.ports[wrong] - 1

    def bursts(self):
        """Lists of at most 128 packets; a packet may have octets behind its end."""
        draw, four = self.random, self.family == 4
        flow = Flow(self)
        yield [flow.segment(18) for _ in range(100)]
        for width in (1, 4, 16):
            flows = [Flow(self) for _ in range(8)]
            yield [flows[index // width % 8].segment(18) for index in range(128)]
        flow = Flow(self)
        yield [flow.segment(1_400) for _ in range(90)]
        flow = Flow(self)
        yield [flow.segment(1_472 if four else 1_452) for _ in range(50)]
        # A shorter one is the last that a larger frame may hold; a longer one begins another.
        flow = Flow(self)
        yield [flow.segment(size) for _ in range(12) for size in (200, 200, 200, 90, 200, 300, 300, 1)]
        flows = [Flow(self) for _ in range(3)]
        yield [draw.choice(flows).segment(draw.choice([0, 1, 2, 3, 17, 18, 400, 1_200])) for _ in range(100)]
        # What the header says changes in mid-flow.
        flow, packets = Flow(self), []
        for _ in range(120):
            change = draw.randrange(16)
            if change == 0: flow.ttl = draw.choice([5, 32, 63, 64, 128, 255])
            if change == 1: flow.tos = draw.choice([0, 1, 2, 3, 0x10, 0xB8])
            if change == 2: flow.flags ^= 0x4000
            if change == 3: flow.label = draw.randrange(1 << 20)
            if change == 4: flow.options = b"" if flow.options else b"\x94\x04\0\0"
            packets.append(flow.segment(100))
        yield packets
        # Identifications: constant, by steps, round the end, at random; without DF they matter.
        for step, first, flags in ((0, 0, 0x4000), (0, 7, 0), (1, 0xFFD0, 0), (2, 0, 0), (-1, 0x20, 0x4000)):
            flow = Flow(self)
            flow.step, flow.ident, flow.flags = step, first, flags
            yield [flow.segment(64) for _ in range(60)]
        flow, packets = Flow(self), []
        for _ in range(60):
            flow.step = draw.choice([1, 1, 1, 0, 2, 100])
            packets.append(flow.segment(64))
        yield packets
        # Checksums that are none, and checksums that are wrong.
        flow = Flow(self)
        yield [flow.segment(64, zero=index % 7 > 3) for index in range(60)]
        if not self.rewrites and not self.translates:
            flow, good = Flow(self, wrong=True), Flow(self)
            yield [(flow if index % 3 else good).segment(64) for index in range(60)]
            flow = Flow(self, TCP, wrong=True)
            yield [flow.segment(500) for _ in range(30)]
        # Octets behind the packet's end, as small Ethernet frames have.
        flow = Flow(self)
        yield [flow.segment(4) + bytes(14 * (index % 2)) for index in range(60)]
        # What has no ports, among what has.
        flow, packets = Flow(self), []
        for index in range(24):
            packets += [flow.segment(64), flow.segment(64), flow.echo(index)]
        yield packets
        if four and not self.translates:
            flow, packets = Flow(self), []
            flow.flags = 0
            for index in range(20):
                packets += [flow.segment(512), flow.segment(512)] + flow.fragments(1_100)
            yield packets
        yield from self.segments()
        # Everything at once.
        for _ in range(3):
            flows = [Flow(self, protocol) for protocol in (UDP, UDP, UDP, TCP, TCP)]
            packets = []
            for _ in range(120):
                flow = draw.choice(flows)
                if draw.random() < 0.1: flow.ttl = draw.choice([63, 64])
                if draw.random() < 0.1: flow.ident += draw.choice([0, 1])
                if flow.protocol == TCP and draw.random() < 0.1: flow.sequence += draw.choice([-50, 50])
                packets.append(flow.segment(draw.choice([50, 50, 50, 700])))
            yield packets
        # Checksums that come to zero, before and after the address or the port is rewritten, among others.
        addresses = [self.destination]
        if self.rewrites:
            addresses = [SERVICES["rewritten"][self.family], REWRITTEN[self.family]]
        places = [(address, None) for address in addresses]
        if self.translates: places = [(self.destination, 0), (self.destination, SHIFT)]
        for protocol in (UDP, TCP):
            flow, packets = Flow(self, protocol), []
            for place in places * 10:
                packets += [flow.segment(64), flow.summed_to_zero(64, *place), flow.segment(64)]
            yield packets

    def segments(self):
        """TCP segments."""
        draw = self.random
        stamps = lambda value: b"\x01\x01\x08\x0a" + struct.pack(">II", value, 5)
        flow = Flow(self, TCP)
        yield [flow.tcp(1_400, 0x18 if index == 89 else 0x10) for index in range(90)]
        flows = [Flow(self, TCP) for _ in range(4)]
        yield [
            flows[index % 4].tcp(300, 0x18 if index % 10 == 9 else 0x10, stamps(index // 40)) for index in range(120)]
        # PSH, FIN, URG, ECE, CWR, SYN and RST; acknowledgements alone; other windows; gaps, repeats and overtaking.
        flow, packets = Flow(self, TCP), []
        for _ in range(120):
            flags, size = 0x10, 200
            change = draw.randrange(14)
            if change == 0: flags |= draw.choice([0x08, 0x01, 0x20, 0x40, 0x80, 0xC0])
            if change == 1: flow.window += 1
            if change == 2: flow.acknowledged += 1
            if change == 3: flow.sequence += draw.choice([-200, 100, 200])
            if change == 4: size = 0
            if change == 5: size = draw.choice([1, 199, 201])
            if change == 6: flags = draw.choice([0x02, 0x04, 0x00])
            extra = stamps(1) if change == 7 else b"\x01\x01\x05\x0a" + bytes(range(8)) if change == 8 else b""
            if change == 9: flow.ttl ^= 1
            packets.append(flow.tcp(size, flags, extra))
        yield packets
        # A sequence number that goes round, and pairs in the wrong order.
        flow = Flow(self, TCP)
        flow.sequence = (1 << 32) - 2_000
        packets = [flow.tcp(500) for _ in range(40)]
        for index in range(20, 40, 4): packets[index], packets[index + 1] = packets[index + 1], packets[index]
        yield packets


def length(packet):
    """Octets of an IP packet without what is behind it in the frame."""
    return struct.unpack(">H", packet[2:4])[0] if packet[0] >> 4 == 4 else 40 + struct.unpack(">H", packet[4:6])[0]


def forwarded(packet, hops):
    """The packet after so many kernels have passed it on."""
    if hops == 0:
        return packet
    packet = bytearray(packet[:length(packet)])
    if packet[0] >> 4 == 6:
        packet[7] -= hops
        return bytes(packet)
    size = (packet[0] & 15) * 4
    packet[8] -= hops
    packet[10:12] = b"\0\0"
    packet[10:12] = struct.pack(">H", 0xFFFF - total(bytes(packet[:size])))
    return bytes(packet)


def key(packet):
    """What tells a packet's flow; nil where it is none of those made here."""
    if packet[0] >> 4 == 4:
        if packet[12:16] != octets(SOURCE[4]):
            return None
        protocol, upper = packet[9], packet[(packet[0] & 15) * 4:]
        if packet[6] & 0x3F or packet[7]:
            return packet[16:20].hex(), "fragments", struct.unpack(">H", packet[4:6])[0]
        destination = packet[16:20]
    else:
        if packet[8:24] != octets(SOURCE[6]):
            return None
        protocol, upper, destination = packet[6], packet[40:], packet[24:40]
        if protocol == 60:
            protocol, upper = upper[0], upper[8:]
    if protocol in (ICMP, ICMP6):
        port = struct.unpack(">H", upper[4:6])[0]
    elif protocol in (UDP, TCP):
        port = struct.unpack(">H", upper[:2])[0]
    else:
        return None
    return (destination.hex(), protocol, port) if port in MADE else None
