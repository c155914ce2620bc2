"""Sends requests for mappings, and prints each answer as hexadecimal digits; "-" if none came.

ask.py SERVER [--source ADDRESS] [--flood COUNT | --fenced] REQUEST...

REQUEST is hexadecimal digits. With --flood each is sent so often, at 10,000 a second, and only the number of answers is printed.
With --fenced, requests are read from standard input, a line each, and each is followed by one that every server answers (an opcode
of NAT-PMP that there is not): no answer before that one means that there is none. "!" means that the server has ended; the next
request waits for its successor.
"""

import argparse
import socket
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("server")
parser.add_argument("--source")
parser.add_argument("--flood", type=int)
parser.add_argument("--fenced", action="store_true")
parser.add_argument("requests", nargs="*")
words = parser.parse_intermixed_args()

family = socket.AF_INET6 if ":" in words.server else socket.AF_INET
asking = socket.socket(family, socket.SOCK_DGRAM)
if words.source:
    # A source that this node does not have.
    asking.setsockopt(socket.SOL_IP, 19, 1)
    asking.bind((words.source, 0))
asking.connect((words.server, 5351))
asking.settimeout(2)


def answers(request):
    """The answers to a request before the one to the fence; nil: the server does not answer any more."""
    found = []
    try:
        asking.send(request)
        asking.send(bytes.fromhex("007f"))
        while True:
            answer = asking.recv(2048)
            if answer[:4] == bytes.fromhex("00ff0005"): return found
            found.append(answer.hex())
    except (TimeoutError, ConnectionRefusedError):
        return None


def wait():
    """Waits for a server that answers."""
    asking.settimeout(0.2)
    for _ in range(100):
        try:
            asking.send(bytes.fromhex("007f"))
            asking.recv(2048)
            break
        except (TimeoutError, ConnectionRefusedError):
            time.sleep(0.05)
    asking.settimeout(2)


if words.fenced:
    wait()
    for request in map(bytes.fromhex, sys.stdin):
        found = answers(request)
        print("!" if found is None else " ".join(found) or "-")
        if found is None: wait()
    sys.exit()
for request in map(bytes.fromhex, words.requests):
    if words.flood:
        for number in range(words.flood):
            asking.send(request)
            if number % 100 == 99: time.sleep(0.01)
        answers = 0
        asking.settimeout(0.5)
        try:
            while True:
                asking.recv(2048)
                answers += 1
        except TimeoutError:
            print(answers)
        continue
    try:
        asking.send(request)
        answer, (address, port, *_) = asking.recvfrom(2048)
        assert (address, port) == (words.server, 5351), (address, port)
        print(answer.hex())
    except (TimeoutError, ConnectionRefusedError):
        print("-")
