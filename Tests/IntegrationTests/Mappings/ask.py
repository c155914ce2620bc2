"""Sends requests for mappings, and prints each answer as hexadecimal digits; "-" if none came.

ask.py SERVER [--source ADDRESS] [--patience SECONDS] [--flood COUNT | --fenced] REQUEST...

REQUEST is hexadecimal digits. An answer is waited for two seconds, or for SECONDS. With --flood each is sent so often, at 10,000 a second, and only the number of answers is printed.
With --fenced, requests are read from standard input, a line each, and each is followed by one that every server answers (an opcode
of NAT-PMP that there is not): no answer before that one means that there is none. "!" means that the server has ended; the next
request waits for its successor. A server that is slow is waited for: it answers every fence, its successor the later ones alone.
"""

import argparse
import socket
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("server")
parser.add_argument("--source")
parser.add_argument("--patience", type=float, default=2)
parser.add_argument("--flood", type=int)
parser.add_argument("--fenced", action="store_true")
parser.add_argument("requests", nargs="*")
words = parser.parse_intermixed_args()

family = socket.AF_INET6 if ":" in words.server else socket.AF_INET
FENCE, ITS_ANSWER = bytes.fromhex("007f"), bytes.fromhex("00ff0005")


def connected():
    """A new socket to the server."""
    asking = socket.socket(family, socket.SOCK_DGRAM)
    if words.source:
        # A source that this node does not have.
        asking.setsockopt(socket.SOL_IP, 19, 1)
        asking.bind((words.source, 0))
    asking.connect((words.server, 5351))
    asking.settimeout(words.patience)
    return asking


def answers(asking, request):
    """The answers to a request before the one to the fence; nil: the server has ended."""
    found, fences, answered = [], 1, 0
    try:
        asking.send(request)
        asking.send(FENCE)
        while answered < fences:
            try:
                answer = asking.recv(2048)
            except TimeoutError:
                if answered > 0 or fences == 15: return None
                asking.send(FENCE)
                fences += 1
                continue
            if answer[:4] == ITS_ANSWER: answered += 1
            elif answered == 0: found.append(answer.hex())
        return found
    except ConnectionRefusedError:
        return None


def awaited():
    """A socket to a server that answers. Late answers to those before reach them, not it."""
    for _ in range(30):
        asking = connected()
        try:
            asking.send(FENCE)
            asking.recv(2048)
            break
        except (TimeoutError, ConnectionRefusedError):
            time.sleep(0.1)
    return asking


if words.fenced:
    asking = awaited()
    for request in map(bytes.fromhex, sys.stdin):
        found = answers(asking, request)
        print("!" if found is None else " ".join(found) or "-")
        if found is None: asking = awaited()
    sys.exit()
asking = connected()
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
        # A late answer is none to the next request.
        asking = connected()
