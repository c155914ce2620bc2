"""The cells of a table: each is one kind of traffic, and knows how to send it over a testbed and what comes of it."""
import json
import subprocess
import time
from dataclasses import dataclass

from lab import BenchError, run
from scenarios import BULK_PORT, ECHO_PORT, SERVICE, SINK_PORT

HEADERS = 14 + 20 + 8   # Ethernet, IPv4 and UDP, in octets
SETTLE = 0.1            # seconds of traffic before it is counted


@dataclass(frozen=True)
class Datagrams:
    """UDP from `flows` sockets, `burst` datagrams of one before the next, in frames of `octets` octets; `rate` a second,
    or as fast as the sender can. Figures: `delivered` a second to all receivers, and `processor`, nanoseconds of the
    forwarding processes per frame that arrived. Where processes watch: `reader`, their nanoseconds per frame that arrived,
    and `resident`, the octets of memory that they have at the end."""
    key: str
    title: str
    flows: int
    burst: int
    octets: int
    rate: int = 0
    scenario: str = ""      # the name of the only scenario that it is measured in; empty: all

    def measure(self, testbed, seconds):
        payload = self.octets - HEADERS
        sender = subprocess.Popen(
            testbed.client(testbed.traffic, "send", SERVICE, SINK_PORT, self.flows, self.burst, payload, self.rate,
                           SETTLE + seconds + 0.05), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            time.sleep(SETTLE)
            start = testbed.moment()
            time.sleep(seconds)
            end = testbed.moment()
            _, complaint = sender.communicate(timeout=10)
        finally:
            sender.kill()
            sender.wait()
        if sender.returncode != 0:
            raise BenchError(f"{testbed.system}: {complaint.strip()}")
        arrived = [(after - before) / payload for before, after in zip(start.payload, end.payload)]
        delivered = end.delivered - start.delivered + sum(arrived[1:])
        figures = {"delivered": delivered / (end.time - start.time)}
        if testbed.pids and sum(arrived) > 0:
            figures["processor"] = (end.processor - start.processor) / sum(arrived)
            if testbed.readers:
                figures["reader"] = (end.reader - start.reader) / sum(arrived)
                figures["resident"] = end.resident
        return figures


@dataclass(frozen=True)
class Bulk:
    """TCP with cubic, whatever the machine's default is. Figure: `bits` received a second."""
    key: str
    title: str
    streams: int

    def measure(self, testbed, _):
        words = testbed.client("iperf3", "-c", SERVICE, "-p", BULK_PORT, "-C", "cubic", "-t", "1", "-P", self.streams, "-J")
        report = json.loads(run(*words, patience=30))
        return {"bits": report["end"]["sum_received"]["bits_per_second"]}


@dataclass(frozen=True)
class RequestResponse:
    """One datagram at a time, there and back. Figures: percentiles of the time between, in microseconds."""
    key: str
    title: str

    def measure(self, testbed, seconds):
        words = testbed.client(testbed.traffic, "ask", SERVICE, ECHO_PORT, seconds)
        figures = [float(word) for word in run(*words).split()]
        return dict(zip(("answers", "lost", "p50", "p99", "p99.9"), figures))


LOADS = [("one", "1 flow", 1, 64), ("bursts", "64 flows in bursts of 16", 64, 16), ("turn", "64 flows in turn", 64, 1)]
CELLS = [Datagrams(f"udp{octets}-{key}", f"{octets:,}-byte UDP, {title}", flows, burst, octets)
         for octets in (64, 1400) for key, title, flows, burst in LOADS]
CELLS += [Datagrams("paced", "64-byte UDP, 64 flows in bursts of 16, 100 k/s", 64, 16, 64, 100_000),
          Datagrams("fast", "64-byte UDP, 64 flows in bursts of 16, 500 k/s", 64, 16, 64, 500_000, "trace"),
          Bulk("tcp1", "TCP bulk, 1 stream", 1), Bulk("tcp4", "TCP bulk, 4 streams", 4),
          RequestResponse("ask", "request/response")]


@dataclass(frozen=True)
class Figure:
    """One of a cell's results: how it is called, printed and compared."""
    name: str
    title: str
    unit: str
    scale: float
    digits: int

    def text(self, value):
        return f"{value / self.scale:,.{self.digits}f}"


FIGURES = {figure.name: figure for figure in (
    Figure("delivered", "delivered", "k/s", 1e3, 0),
    Figure("processor", "processor time of the forwarding process per frame", "ns", 1, 0),
    Figure("reader", "processor time of the process that watches per frame", "ns", 1, 0),
    Figure("resident", "memory of the process that watches", "MiB", 1 << 20, 1),
    Figure("bits", "received", "Gbit/s", 1e9, 2),
    Figure("p50", "median", "µs", 1, 1),
    Figure("p99", "99th percentile", "µs", 1, 1),
    Figure("p99.9", "99.9th percentile", "µs", 1, 1))}
