"""Asks for the same mapping again and again, as a client that renews often, and writes each answer into a file.

renew.py SERVER FILE REQUEST

A line is the time, and the answer as hexadecimal digits; "-" if none came within a second. It ends when FILE.end is there.
"""

import os
import socket
import sys
import time

server, path, request = sys.argv[1:]
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.connect((server, 5351))
asking.settimeout(1)
with open(path, "w") as file:
    while not os.path.exists(path + ".end"):
        try:
            asking.send(bytes.fromhex(request))
            answer = asking.recv(2048).hex()
        except (TimeoutError, ConnectionRefusedError, OSError):
            answer = "-"
        file.write(f"{time.monotonic():.3f} {answer}\n")
        file.flush()
        time.sleep(0.01)
