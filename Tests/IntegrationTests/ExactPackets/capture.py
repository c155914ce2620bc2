"""Captures all that comes in on a device, each frame behind its virtio_net_hdr, until it is told to end by SIGTERM."""

import signal
import socket
import struct
import sys

device, path = sys.argv[1:3]
ends = []
signal.signal(signal.SIGTERM, lambda *_: ends.append(True))
capture = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
capture.setsockopt(socket.SOL_SOCKET, 33, 512 << 20)  # SO_RCVBUFFORCE
capture.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
capture.bind((device, 3))  # ETH_P_ALL
capture.settimeout(0.2)
frames = []
print("capturing", flush=True)
while True:
    try:
        frame, address = capture.recvfrom(70_000)
    except TimeoutError:
        if ends:
            break
        continue
    if address[2] != 4:  # PACKET_OUTGOING
        frames.append(frame)
received, dropped = struct.unpack("II", capture.getsockopt(263, 6, 8))  # PACKET_STATISTICS
with open(path, "wb") as file:
    for frame in frames:
        file.write(struct.pack(">I", len(frame)) + frame)
print("dropped", dropped, flush=True)
