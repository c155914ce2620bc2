"""Two service functions at another site, in Python: one behind NSH over VXLAN-GPE (RFC 8300), one behind Geneve (RFC 8926).

They share no code with the engine. Each returns the frames that it gets, with the Ethernet addresses exchanged. The first takes one
off the service index, as the standard wants; of packets to port 8081 it takes all, and those to port 8082 it puts on another path.
"""

import selectors
import socket
import struct

ENGINE = "198.18.64.1"
GPE, GENEVE = 4790, 6081


def port(frame):
    """The TCP or UDP destination port of a frame; 0 if there is none."""
    if frame[12:14] != b"\x08\x00" or frame[23] not in (6, 17):
        return 0
    start = 14 + (frame[14] & 15) * 4
    return struct.unpack_from("!H", frame, start + 2)[0]


def back(frame):
    return frame[6:12] + frame[:6] + frame[12:]


def serve_nsh(data):
    flags, inner = struct.unpack_from("!II", data)
    assert flags == 0x0C000004 and inner == 7 << 8, data[:8].hex()
    base, place = struct.unpack_from("!II", data, 8)
    length = (base >> 16 & 63) * 4
    assert base >> 28 == 0 and base & 0xFF == 3 and base >> 8 & 15 == 1 and length == 24, data[8:16].hex()
    path, index, frame = place >> 8, place & 0xFF, data[8 + length :]
    print(f"nsh {path}/{index} port {port(frame)}", flush=True)
    index = 0 if port(frame) == 8081 else index - 1
    path += port(frame) == 8082
    # Metadata that the engine does not know: MD type 2, one variable-length context.
    head = (63 << 22 | 4 << 16 | 2 << 8 | 3, path << 8 | index, 0xFFFF0004, 0x01020304)
    return data[:8] + struct.pack("!IIII", *head) + back(frame)


def serve_geneve(data):
    first, protocol, identifier = data[0], *struct.unpack_from("!HI", data, 2)
    assert first >> 6 == 0 and protocol == 0x6558 and identifier == 9 << 8, data[:8].hex()
    frame = data[8 + (first & 63) * 4 :]
    print(f"geneve {identifier >> 8} port {port(frame)}", flush=True)
    # An option that the engine does not know and that is not critical.
    return struct.pack("!BBHI", 2, 0, 0x6558, identifier) + bytes.fromhex("0102030100000000") + back(frame)


def main():
    waiting = selectors.DefaultSelector()
    for number, serve in ((GPE, serve_nsh), (GENEVE, serve_geneve)):
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind(("", number))
        waiting.register(own, selectors.EVENT_READ, (number, serve))
    print("the functions are up", flush=True)
    while True:
        for key, _ in waiting.select():
            number, serve = key.data
            data, sender = key.fileobj.recvfrom(65535)
            assert sender[0] == ENGINE, sender
            key.fileobj.sendto(serve(data), (ENGINE, number))


main()
