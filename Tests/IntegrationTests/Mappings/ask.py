"""Sends requests for mappings, and prints each answer as hexadecimal digits; "-" if none came.

ask.py SERVER [--source ADDRESS] [--flood COUNT] REQUEST...

REQUEST is hexadecimal digits. With --flood each is sent so often, at 10,000 a second, and only the number of answers is printed.
"""

import argparse
import socket
import time

parser = argparse.ArgumentParser()
parser.add_argument("server")
parser.add_argument("--source")
parser.add_argument("--flood", type=int)
parser.add_argument("requests", nargs="+")
words = parser.parse_args()

family = socket.AF_INET6 if ":" in words.server else socket.AF_INET
asking = socket.socket(family, socket.SOCK_DGRAM)
if words.source:
    # A source that this node does not have.
    asking.setsockopt(socket.SOL_IP, 19, 1)
    asking.bind((words.source, 0))
asking.connect((words.server, 5351))
asking.settimeout(2)
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
