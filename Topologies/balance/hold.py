"""Holds connections to an HTTP server, asks each again and again, and tells which lived on.

hold.py ADDRESS COUNT SECONDS: prints a line for each server that answered, and one for all of them:
`web-1: 9 connections, 0 lost`

The seconds begin when each connection has had its first answer. A line in the file `held` in the node's folder says so to
the next step of a check, and a file `enough` there ends them early. What was asked last may still be answered for some
seconds: a connection without an answer then is lost.
"""
import collections
import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import socket
import sys
import threading
import time

address, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
folder = pathlib.Path(os.environ["TAPLINE_DIR"])
enough = folder / "enough"
begun, over = threading.Event(), threading.Event()


def tell_held():
    with (folder / "held").open("a") as file:
        file.write("held\n")
    begun.set()


all_held = threading.Barrier(count, action=tell_held)


def ask(connection):
    connection.request("GET", "/")
    return connection.getresponse().read().decode().split()[-1]


def hold(connection):
    """The server that answered first, nobody where none did, and whether the connection lived to the end."""
    server = "nobody"
    try:
        try:
            connection.connect()
            # Every further answer must come by this connection, or not at all.
            connection.auto_open = 0
            server = ask(connection)
        finally:
            all_held.wait()
        while not over.wait(0.1):
            if ask(connection) != server:
                return server, False
    except (OSError, http.client.HTTPException):
        return server, False
    return server, True


enough.unlink(missing_ok=True)
connections = [http.client.HTTPConnection(address, 80, timeout=20) for _ in range(count)]
with concurrent.futures.ThreadPoolExecutor(count) as pool:
    holding = [pool.submit(hold, connection) for connection in connections]
    begun.wait()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not enough.exists():
        time.sleep(0.1)
    over.set()
    concurrent.futures.wait(holding, timeout=5)
    for connection, one in zip(connections, holding):
        if not one.done():
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)
held = [held.result() for held in holding]
total = collections.Counter(server for server, _ in held)
lost = collections.Counter(server for server, lives in held if not lives)
for server in sorted(total):
    print(f"{server}: {total[server]} connections, {lost[server]} lost")
print(f"all: {len(held)} connections, {sum(lost.values())} lost")
