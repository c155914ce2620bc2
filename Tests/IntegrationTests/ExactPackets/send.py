"""Sends every burst as fast as one system call can, and waits after each until the service has answered behind it."""

import ctypes
import os
import socket
import struct
import sys

from packets import SERVICES, Maker

seed, device = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("vectors", ctypes.POINTER(Vector)),
        ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("sent", ctypes.c_uint32), ("padding", ctypes.c_uint32),
    ]


def send_all(descriptor, messages):
    """All of them by as few system calls as the kernel allows."""
    buffers = [ctypes.create_string_buffer(message, len(message)) for message in messages]
    vectors = (Vector * len(messages))(
        *[Vector(ctypes.cast(buffer, ctypes.c_void_p), len(buffer)) for buffer in buffers])
    headers = (Message * len(messages))()
    for index in range(len(messages)):
        headers[index].vectors = ctypes.pointer(vectors[index])
        headers[index].count = 1
    done = 0
    while done < len(messages):
        sent = libc.sendmmsg(
            descriptor, ctypes.byref(headers, done * ctypes.sizeof(Message)), len(messages) - done, 0)
        if sent <= 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        done += sent


def gateway():
    with open("/proc/net/arp") as table:
        for line in table:
            if line.startswith("192.0.2.1 "):
                return bytes.fromhex(line.split()[3].replace(":", ""))
    sys.exit("the engine's address has not been resolved")


assert ctypes.sizeof(Message) == 64
with open(f"/sys/class/net/{device}/address") as file:
    mine = bytes.fromhex(file.read().strip().replace(":", ""))
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
raw.bind((device, 0))
towards = gateway()
sent = 0
for service, addresses in SERVICES.items():
    for family, address in addresses.items():
        mark = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        mark.settimeout(20)
        mark.connect((address, 8))
        leading = towards + mine + (b"\x08\x00" if family == 4 else b"\x86\xdd")
        for number, burst in enumerate(Maker(seed, family, address, service).bursts()):
            send_all(raw.fileno(), [leading + packet for packet in burst])
            sent += len(burst)
            mark.send(struct.pack(">I", number))
            assert mark.recv(16) == struct.pack(">I", number), "another burst was answered"
        # The kernel's own: datagrams in bursts from several sockets, one call for many, and a stream.
        sockets = [socket.socket(mark.family, socket.SOCK_DGRAM) for _ in range(4)]
        for index, one in enumerate(sockets):
            one.bind(("::" if family == 6 else "", 60_000 + index))
            one.connect((address, 7))
        for size in (18, 1_000):
            for one in sockets:
                send_all(one.fileno(), [bytes([index]) * size for index in range(64)])
            mark.send(b"own")
            assert mark.recv(16) == b"own"
        one = sockets[0]
        one.setsockopt(socket.IPPROTO_UDP, 103, 700)  # UDP_SEGMENT
        for _ in range(8):
            one.send(bytes(range(256)) * 54)
        mark.send(b"segmented")
        assert mark.recv(16) == b"segmented"
        stream = socket.create_connection((address, 80), 20)
        stream.sendall(bytes(range(256)) * 8_192)
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(64) == b"2097152", "the stream did not arrive whole"
print(sent)
