#!/usr/bin/python3
"""Reads a pcapng file strictly by the draft, compares its packets with what scapy reads, and prints each block as a line of JSON.

read-pcapng.py FILE
"""

import json
import struct
import sys

from scapy.utils import RawPcapNgReader

NAMES = {0x0A0D0D0A: "section", 1: "interface", 4: "names", 5: "statistics", 6: "packet", 10: "secrets"}


def options(body):
    found = []
    while body:
        code, length = struct.unpack_from("<HH", body)
        if code == 0:
            assert length == 0 and len(body) == 4, "something follows the end of the options"
            return found
        end = 4 + length + -length % 4
        assert end <= len(body) and not any(body[4 + length:end]), "padding"
        found.append([code, body[4:4 + length].hex()])
        body = body[end:]
    return found


def blocks(data):
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0 and 12 <= length <= len(data), f"length {length} of {len(data)}"
        assert struct.unpack_from("<I", data, length - 4)[0] == length, "the lengths of a block differ"
        yield NAMES[kind], data[8:length - 4]
        data = data[length:]


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    packets = []
    for kind, body in blocks(data):
        line = {"block": kind}
        if kind == "section":
            assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
            line["options"] = options(body[16:])
        elif kind == "interface":
            line["link"], _, line["snap"] = struct.unpack_from("<HHI", body)
            line["options"] = options(body[8:])
        elif kind == "packet":
            line["interface"], high, low, captured, line["length"] = struct.unpack_from("<IIIII", body)
            line["time"], line["captured"] = high << 32 | low, captured
            packets.append(body[20:20 + captured])
            line["options"] = options(body[20 + captured + -captured % 4:])
        elif kind == "statistics":
            line["interface"], high, low = struct.unpack_from("<III", body)
            line["time"] = high << 32 | low
            line["options"] = options(body[12:])
        elif kind == "secrets":
            line["type"], length = struct.unpack_from("<II", body)
            line["text"] = body[8:8 + length].decode()
            assert len(body) == 8 + length + -length % 4
        else:
            line["records"] = options(body)
        print(json.dumps(line))
    # scapy reads the blocks that it knows; a file without an interface is none to it.
    if packets:
        seen = [packet for packet, _ in RawPcapNgReader(sys.argv[1])]
        assert seen == packets, f"scapy reads {len(seen)} packets, not {len(packets)}"


main()
