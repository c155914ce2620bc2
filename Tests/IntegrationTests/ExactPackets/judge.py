"""Judges captures: every packet that was sent, and no other, as it was sent, in its flow's order.

judge.py SEED NAME:HOPS:KIND:SERVICES:PATH…: what a device saw behind so many kernels that passed the packets on. KIND is
`plain` (whole frames of at most 1,514 octets with full checksums) or `large` (superframes, cut up here as the kernel
does); SERVICES are those that it gets, with commas. Prints a line for each: packets, superframes and a digest of all.
"""

import hashlib
import struct
import sys

from packets import CHECKSUM, REWRITTEN, SERVICES, SHIFT, TCP, UDP, WRONG, Maker, as_sent, forwarded, key, length, total

PARTIAL, TCP4, TCP6, SEGMENTED_UDP, ECN = 1, 1, 4, 5, 0x80


def completed(packet, start, offset):
    """The packet with its partial checksum completed, as the kernel's segmentation does it."""
    value = 0xFFFF - total(packet[start:length(packet)])
    protocol = UDP if offset == CHECKSUM[UDP] else TCP
    return packet[:start + offset] + struct.pack(">H", as_sent(value, protocol)) + packet[start + offset + 2:]


def cut(packet, kind, size, start, offset):
    """The packets that the kernel makes of a superframe (net/ipv4/tcp_offload.c, udp_offload.c, af_inet.c)."""
    six = packet[0] >> 4 == 6
    upper = start + (8 if kind == SEGMENTED_UDP else (packet[start + 12] >> 4) * 4)
    data = packet[upper:length(packet)]
    count = (len(data) + size - 1) // size
    # The partial checksum holds the sum of the pseudo-header, with the length of all.
    pieces = []
    for index in range(count):
        piece = data[index * size:(index + 1) * size]
        head = bytearray(packet[:upper])
        long = upper - start + len(piece)
        if six:
            head[4:6] = struct.pack(">H", upper - 40 + len(piece))
        else:
            head[2:4] = struct.pack(">H", upper + len(piece))
            head[4:6] = struct.pack(">H", (struct.unpack(">H", packet[4:6])[0] + index) & 0xFFFF)
            head[10:12] = b"\0\0"
            head[10:12] = struct.pack(">H", 0xFFFF - total(bytes(head[:(head[0] & 15) * 4])))
        if kind == SEGMENTED_UDP:
            head[start + 4:start + 6] = struct.pack(">H", long)
        else:
            sequence = (struct.unpack(">I", packet[start + 4:start + 8])[0] + index * size) & 0xFFFFFFFF
            head[start + 4:start + 8] = struct.pack(">I", sequence)
            if index < count - 1: head[start + 13] &= ~0x09 & 0xFF
            if index > 0: head[start + 13] &= ~0x80 & 0xFF
        whole = start + len(packet[upper:length(packet)]) + upper - start
        before, after = whole - start, long
        sum_of_all = struct.unpack(">H", packet[start + offset:start + offset + 2])[0]
        partial = total(struct.pack(">HHH", sum_of_all, 0xFFFF - before, after))
        head[start + offset:start + offset + 2] = struct.pack(">H", partial)
        pieces.append(completed(bytes(head) + piece, start, offset))
    return pieces


def checksum_is_right(packet):
    """Whether the checksums of a packet are right; true where it has none to judge."""
    if packet[0] >> 4 == 4:
        size, protocol = (packet[0] & 15) * 4, packet[9]
        if total(packet[:size]) != 0xFFFF: return False
        if packet[6] & 0x3F or packet[7]: return True
        addresses = packet[12:20]
    else:
        size, protocol, addresses = 40, packet[6], packet[8:40]
        if protocol == 60: size, protocol = 48, packet[40]
    upper = packet[size:length(packet)]
    if protocol not in (UDP, TCP): return True
    field = 6 if protocol == UDP else 16
    if protocol == UDP and upper[6:8] == b"\0\0": return True
    return total(addresses + struct.pack(">IHBB", len(upper), 0, 0, protocol) + upper) == 0xFFFF


class Leg:
    def __init__(self, text):
        self.name, hops, self.kind, services, self.path = text.split(":", 4)
        self.hops, self.services = int(hops), services.split(",")
        self.wrong, self.superframes, self.coalesced = [], 0, 0

    def expected(self, seed):
        flows = {}
        for service in self.services:
            for family, address in SERVICES[service].items():
                # Only the last hop, to the server, rewrites.
                if self.name == "web-rewritten": address = REWRITTEN[family]
                shift = SHIFT if self.name == "web-translated" else 0
                for burst in Maker(seed, family, address, service, shift).bursts():
                    for packet in burst:
                        flows.setdefault(key(packet), []).append(forwarded(packet, self.hops))
        return flows

    def frames(self):
        with open(self.path, "rb") as file:
            while size := file.read(4):
                yield file.read(struct.unpack(">I", size)[0])

    def packets(self):
        """Every IP packet of the capture, superframes cut up."""
        for frame in self.frames():
            flags, kind, _, size, start, offset = struct.unpack("<BBHHHH", frame[:10])
            frame = frame[10:]
            if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"): continue
            packet, start = frame[14:], start - 14
            if self.kind == "plain" and (kind or flags & PARTIAL or len(frame) > 1_514):
                self.wrong.append(f"no plain frame: {len(frame)} octets, offload type {kind}, flags {flags}")
            if kind:
                pieces = cut(packet, kind & ~ECN, size, start, offset)
                self.superframes += 1
                self.coalesced += len(pieces) if key(packet) else 0
                yield from pieces
            else:
                yield completed(packet, start, offset) if flags & PARTIAL else packet

    def judge(self, seed):
        expected, found, count = self.expected(seed), {}, 0
        for packet in self.packets():
            flow = key(packet)
            if not (flow and flow[2] in WRONG) and not checksum_is_right(packet):
                self.wrong.append(f"a wrong checksum in {flow}: {packet[:60].hex()}")
            if flow is not None:
                found.setdefault(flow, []).append(packet)
                count += 1
        for flow in sorted(expected.keys() | found.keys(), key=str):
            sent, came = expected.get(flow, []), found.get(flow, [])
            if sent == came: continue
            place = next((i for i, (a, b) in enumerate(zip(sent, came)) if a != b), min(len(sent), len(came)))
            show = lambda packets: packets[place][:80].hex() if place < len(packets) else "nothing"
            self.wrong.append(
                f"flow {flow}: {len(sent)} sent, {len(came)} came; the first that differs is number {place}:\n"
                f"  sent {show(sent)}\n  came {show(came)}")
        digest = hashlib.sha256(b"".join(b"".join(found[flow]) for flow in sorted(found, key=str))).hexdigest()
        print(self.name, count, self.superframes, self.coalesced, digest)


legs = [Leg(text) for text in sys.argv[2:]]
for leg in legs:
    leg.judge(int(sys.argv[1]))
for leg in legs:
    for sentence in leg.wrong[:5]: print(f"{leg.name}: {sentence}", file=sys.stderr)
sys.exit(1 if any(leg.wrong for leg in legs) else 0)
