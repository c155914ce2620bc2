"""Asks for the same mapping again and again, as a client that renews often, and writes each answer into a file.

renew.py SERVER FILE REQUEST

A line is the time of the question, the time of the answer, and the answer as hexadecimal digits; "-" if none came within two
seconds. It ends when FILE.end is there.
"""

import os
import socket
import sys
import time

server, path, request = sys.argv[1:]


def connected():
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.connect((server, 5351))
    asking.settimeout(2)
    return asking


asking = connected()
with open(path, "w") as file:
    while not os.path.exists(path + ".end"):
        asked = time.monotonic()
        try:
            asking.send(bytes.fromhex(request))
            answer = asking.recv(2048).hex()
        except (TimeoutError, ConnectionRefusedError, OSError):
            answer = "-"
            # A late answer is none to the next question.
            asking = connected()
        file.write(f"{asked:.3f} {time.monotonic():.3f} {answer}\n")
        file.flush()
        time.sleep(0.01)
