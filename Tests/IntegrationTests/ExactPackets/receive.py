"""A server that notes each datagram as a socket gives it, answers marks, and takes streams."""

import hashlib
import os
import selectors
import signal
import socket
import sys

path, shift = sys.argv[1], int(sys.argv[2])
selector = selectors.DefaultSelector()
flows, ends = {}, []
signal.signal(signal.SIGTERM, lambda *_: ends.append(True))


def datagrams(family, address):
    notes = socket.socket(family, socket.SOCK_DGRAM)
    notes.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    if family == socket.AF_INET6:
        notes.setsockopt(socket.IPPROTO_IPV6, 26, 1)  # IPV6_V6ONLY
        notes.setsockopt(socket.IPPROTO_IPV6, 51, 1)  # IPV6_RECVHOPLIMIT
        notes.setsockopt(socket.IPPROTO_IPV6, 66, 1)  # IPV6_RECVTCLASS
    else:
        notes.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        notes.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS
    notes.bind((address, 7 + shift))
    notes.setblocking(False)
    selector.register(notes, selectors.EVENT_READ, note)
    marks = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        marks.setsockopt(socket.IPPROTO_IPV6, 26, 1)
        marks.setsockopt(socket.IPPROTO_IPV6, 49, 1)  # IPV6_RECVPKTINFO
    else:
        marks.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    marks.bind((address, 8 + shift))
    selector.register(marks, selectors.EVENT_READ, answer)
    return notes


def note(notes):
    while True:
        try:
            data, control, _, peer = notes.recvmsg(65_536, 256)
        except BlockingIOError:
            return
        about = sorted((level, kind, value.hex()) for level, kind, value in control)
        flow = flows.setdefault(peer[:2], [0, hashlib.sha256()])
        flow[0] += 1
        flow[1].update(repr((len(data), about)).encode() + data)


def answer(marks):
    # What was sent before has been noted when its sender hears of it.
    for notes in noted:
        note(notes)
    data, control, _, peer = marks.recvmsg(64, 256)
    # From the address that it was sent to.
    if marks.family == socket.AF_INET:
        control = [(level, kind, b"\0" * 4 + value[8:12] + b"\0" * 4) for level, kind, value in control]
    marks.sendmsg([data], control, 0, peer)


def stream(listener):
    connection, _ = listener.accept()
    total, expected = 0, bytes(range(256)) * 512
    while data := connection.recv(1 << 16):
        assert expected[total % 256:][:len(data)] == data, "the stream came changed"
        total += len(data)
    connection.send(b"%d" % total)
    connection.close()


noted = [datagrams(socket.AF_INET, "0.0.0.0"), datagrams(socket.AF_INET6, "::")]
listener = socket.create_server(("::", 80 + shift), family=socket.AF_INET6, dualstack_ipv6=True)
selector.register(listener, selectors.EVENT_READ, stream)
while not ends:
    for entry, _ in selector.select(0.2):
        entry.data(entry.fileobj)
with open(path + ".new", "w") as file:
    for (host, port), (count, digest) in sorted(flows.items()):
        print(host, port, count, digest.hexdigest(), file=file)
os.rename(path + ".new", path)
signal.pause()
