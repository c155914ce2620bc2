"""The traffic's ends on one system: who receives, who answers, and what has arrived."""
import os
import struct
import time
from dataclasses import dataclass

from lab import inside
from processor import nanoseconds_of, resident_of
from scenarios import BULK_PORT, ECHO_PORT, SERVICE, SINK_PORT

HEADERS = 20 + 8  # IPv4 and UDP, in octets


@dataclass
class Moment:
    """What was counted at a moment; each figure is the difference of two."""
    time: float             # in seconds
    delivered: int          # datagrams that the server's program received
    payload: list           # octets of UDP payload that arrived at each receiver's IP layer, the server first
    processor: int          # nanoseconds of the forwarding processes
    reader: int             # nanoseconds of the processes that watch
    resident: int           # octets of memory of these


class Testbed:
    """Programs in the nodes of a system that is up: they live as long as the lab."""

    def __init__(self, lab, system):
        self.lab, self.system, scenario = lab, system, system.scenario
        self.traffic = os.path.join(lab.folder, "traffic")
        server = system.path("server")
        words = os.path.join(lab.folder, f"{scenario.name}.{system.key}.sink").replace(" ", "-")
        sink = lab.start(*inside(server, self.traffic, "sink", SERVICE, SINK_PORT, words))
        lab.start(*inside(server, self.traffic, "echo", SERVICE, ECHO_PORT))
        lab.start(*inside(server, "iperf3", "-s", "--forceflush", "-p", BULK_PORT), ready="Server listening")
        # A process in each passive node, so that /proc shows its namespace's counters.
        watchers = [lab.start(*inside(system.path(copy), "sleep", "infinity")) for copy in scenario.copies]
        self._receivers = [sink.pid] + [watcher.pid for watcher in watchers]
        lab.wait(lambda: os.path.exists(words) and os.path.getsize(words) > 0,
                 lambda: "the receiver of datagrams did not begin", sink)
        self._words = open(words, "rb", buffering=0)
        self.pids, self.readers = system.processes(), system.readers()

    def client(self, *words):
        """The words that run a command in the customer's node."""
        return inside(self.system.path("client"), *words)

    def moment(self):
        delivered = struct.unpack("=Q", os.pread(self._words.fileno(), 8, 0))[0]
        return Moment(time.monotonic(), delivered, [_payload(pid) for pid in self._receivers],
                      nanoseconds_of(self.pids), nanoseconds_of(self.readers), resident_of(self.readers))


def _payload(pid):
    """Octets of UDP payload that have arrived in a process's network namespace.

    A segmented frame of several datagrams counts as one packet there, with one pair of headers: what is left without the
    headers is the payload of all its datagrams, however many came as one.
    """
    snmp, netstat = _counters(f"/proc/{pid}/net/snmp"), _counters(f"/proc/{pid}/net/netstat")
    return netstat["IpExt:InOctets"] - HEADERS * snmp["Ip:InReceives"]


def _counters(path):
    counters = {}
    with open(path) as file:
        lines = file.read().splitlines()
    for names, values in zip(lines[::2], lines[1::2]):
        group, *names = names.split()
        counters.update((group + name, int(value)) for name, value in zip(names, values.split()[1:]))
    return counters
