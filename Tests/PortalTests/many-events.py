"""Makes as many events as it is told: each change of a link's impairment is one, with all its settings in its reason.

    many-events.py SOCKET COUNT FIRST
"""

import json
import socket
import sys

path, count, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
own = socket.socket(socket.AF_UNIX)
own.settimeout(60)
own.connect(path)
for number in range(first, first + count):
    settings = {
        "delay": "%dus" % number, "loss": "enter=0.0000001%,leave=0.0000002%,good=0.0000003%,bad=0.0000004%",
        "duplicate": "0.0000005%", "corrupt": "0.0000006%", "reorder": "0.0000007%", "seed": "9223372036854775807",
        "rate": "999.999gbit", "queue": "1000",
    }
    line = json.dumps({"version": 2, "command": "impair", "link": "customers", "settings": settings}) + "\n"
    own.sendall(line.encode())
    answer = b""
    while not answer.endswith(b"\n"):
        more = own.recv(65536)
        if not more:
            raise SystemExit("the control process has closed the connection after %d" % (number - first))
        answer += more
    if "error" in json.loads(answer):
        raise SystemExit(answer.decode())
