"""A page's process that somebody else has taken over: it has the descriptors of the true one, and tries what it can do with them.

It runs in the true one's place (TAPLINE_PORTAL_PROGRAM). What it finds goes to the file that TAKEN_OVER_REPORT beside it names.
"""

import array
import json
import os
import socket
import sys

broker = socket.socket(fileno=4)
settings = json.loads(broker.recv(65536))
folder = os.path.dirname(os.path.abspath(sys.argv[0] if os.path.sep in sys.argv[0] else __file__))
report = {}


def connection():
    broker.send(b"?")
    message, ancillary, _, _ = broker.recvmsg(65536, socket.CMSG_SPACE(4 * 16))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[:4])
            found = socket.socket(fileno=numbers[0])
            found.settimeout(30)
            return found
    raise SystemExit("no connection: %r" % message)


def ask(own, command, **fields):
    line = json.dumps({"version": 2, "command": command, **fields}) + "\n"
    own.sendall(line.encode())
    answer = b""
    while not answer.endswith(b"\n"):
        more = own.recv(65536)
        if not more:
            return {"error": {"message": "closed"}}
        answer += more
    return json.loads(answer)


# What may only look: every command that changes something, on one connection, and after every trick to be another one.
one = connection()
forbidden = {
    "stop": {}, "node": {"node": "web"}, "reload": {}, "apply": {}, "add": {"application": "firewall"},
    "remove": {"instance": "fw-b"}, "cancel": {}, "operate": {"instance": "fw-a", "operation": {"weigh": {"_0": 7}}},
    "engine": {"operation": "replace"}, "send": {"from": "alice", "to": "203.0.113.80", "port": "icmp"},
}
report["refused"] = {name: ask(one, name, **fields) for name, fields in forbidden.items()}
ask(one, "observe")
ask(one, "observe", rights="all")
report["again"] = {name: ask(one, name, **fields) for name, fields in forbidden.items()}
report["fresh"] = {name: ask(connection(), name, **fields) for name, fields in forbidden.items()}
report["allowed"] = {name: "error" not in ask(one, name) for name in ("status", "tables", "sample", "events", "describe", "drawing")}
# Requests behind one another in one piece.
own = connection()
own.sendall(b'{"version":2,"command":"observe"}\n{"version":2,"command":"stop"}\n{"version":2,"command":"stop"}\n')
text = b""
while text.count(b"\n") < 3:
    text += own.recv(65536)
report["piped"] = [json.loads(line) for line in text.splitlines()]

# The broker hears nothing but a wish for one more connection.
ends = socket.socketpair()
rights = array.array("i", [ends[0].fileno()])
broker.sendmsg([b'{"version":2,"command":"stop"}'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
broker.recvmsg(65536, socket.CMSG_SPACE(4))
for size in (1, 60000, 150000):
    broker.send(b"x" * size)
    broker.recvmsg(65536, socket.CMSG_SPACE(4))

# All places that it can take.
held = [connection() for _ in range(200)]
streams = []
for own in held:
    try:
        own.sendall(b'{"version":2,"command":"events","follow":true}\n')
        streams.append(own)
    except OSError:
        pass
report["streams"] = 0
for own in streams:
    try:
        line = own.recv(65536)
    except OSError:
        line = b""
    if line and b'"error"' not in line:
        report["streams"] += 1

with open(os.path.join(folder, "report.new"), "w") as file:
    json.dump(report, file)
os.rename(os.path.join(folder, "report.new"), os.path.join(folder, "report.json"))
broker.recv(1)
