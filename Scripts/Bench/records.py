"""Scripts/bench records: how long an instruction of a tenant takes beside many services, by stage, and what forwarding sees."""
import argparse
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from statistics import median

from lab import BenchError, Lab, run

TENANTS = 20
TRAIN = """
import socket, sys, time
mode, address, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if mode == "send":
    s.connect((address, port))
    end = time.monotonic() + seconds
    at = time.monotonic()
    while at < end:
        try:
            s.send(b"train")
        except OSError:
            pass
        at += 0.0002
        left = at - time.monotonic()
        if left > 0:
            time.sleep(left)
        else:
            at -= left
else:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind(("0.0.0.0", port))
    s.settimeout(0.5)
    last, gaps, begun = None, [], time.monotonic()
    while time.monotonic() < begun + seconds:
        try:
            s.recv(64)
        except OSError:
            continue
        now = time.monotonic()
        if last is not None:
            gaps.append((now - last, now))
        last = now
    gaps.sort(reverse=True)
    print(" ".join(f"{gap * 1000:.2f}" for gap, _ in gaps[:20]))
"""


class Unix(http.client.HTTPConnection):
    """HTTP over the operator's socket."""

    def __init__(self, path):
        super().__init__("tapline", timeout=300)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(300)
        self.sock.connect(self.path)


def topology(name, services):
    tenants = "\n".join(
        f"  t{number}: {{ addresses: 100.64.{number * 4}.0/22, applications: [ids, firewall, web], must: [firewall], "
        f"limits: {{ services: 10000, instructions: 1000/s }} }}" for number in range(TENANTS))
    return f"""name: {name}
interfaces:
  customers: {{ address: 192.0.2.1/24 }}
  inspection: {{ address: 198.18.2.1/24 }}
  inspected: {{ address: 198.18.3.1/24 }}
  servers: {{ address: 198.18.4.1/24 }}
customers:
  alice: {{ interface: customers }}
applications:
  ids: {{ type: intrusion-detection, passive: true, attach: {{ in: inspection }} }}
  firewall: {{ type: firewall, attach: {{ in: inspection, out: inspected }}, access: engine }}
  web: {{ type: web-server, attach: servers, instances: 2 }}
services:
  shop: {{ address: 203.0.113.80, ports: [udp/9000], distribute: [ids, firewall], sequence: [firewall, web] }}
tenants:
{tenants}
records: {{ database: lab.db }}
"""


def body(number, port=80):
    return {"addresses": [address(number)], "ports": [f"tcp/{port}"], "distribute": ["ids"],
            "sequence": ["firewall", "web"]}


def address(number):
    tenant, own = number % TENANTS, number // TENANTS
    return f"100.64.{tenant * 4 + own // 250}.{own % 250 + 1}"


class Bench:
    """One program, with one topology."""

    def __init__(self, lab, program, services, key):
        self.lab, self.program, self.services = lab, program, services
        self.name = f"{lab.tag}-{key}"
        self.folder = os.path.join(lab.folder, self.name)
        os.makedirs(self.folder, exist_ok=True)
        self.file = os.path.join(self.folder, "topology.yaml")
        self.database = os.path.join(self.folder, "lab.db")
        with open(self.file, "w") as output:
            output.write(topology(self.name, services))

    def up(self):
        begun = time.monotonic()
        run(self.program, "up", self.file, "-d", patience=1800, environment=dict(os.environ, TAPLINE_LOG="debug"))
        return time.monotonic() - begun

    def down(self):
        run(self.program, "down", self.name, patience=120)

    def ask(self, method, target, value=None):
        """The status and the JSON of an answer, and how many milliseconds it took."""
        connection = Unix(f"/run/tapline/{self.name}/records.sock")
        begun = time.monotonic()
        connection.request(method, target, None if value is None else json.dumps(value),
                           {"Content-Type": "application/json"} if value is not None else {})
        answer = connection.getresponse()
        text = answer.read()
        taken = (time.monotonic() - begun) * 1000
        connection.close()
        return answer.status, text, taken

    def put(self, number, port=80):
        status, text, taken = self.ask("PUT", f"/v1/services/s{number}?tenant=t{number % TENANTS}", body(number, port))
        if status != 200:
            raise BenchError(f"a service is refused: {status} {text[:500]!r}")
        return taken

    def delete(self, number):
        status, text, taken = self.ask("DELETE", f"/v1/services/s{number}?tenant=t{number % TENANTS}")
        if status != 200:
            raise BenchError(f"a service cannot be removed: {status} {text[:500]!r}")
        return taken

    def access(self, number, rules):
        """One tenant's list of `rules` rules takes the place of another one of theirs."""
        own = f"100.64.{number % TENANTS * 4}.1"
        value = {"rules": [{"action": "allow", "protocol": "tcp", "own": own, "own-ports": [str(1000 + number + rule)]}
                           for rule in range(rules)], "default": {"action": "deny"}}
        status, text, taken = self.ask("PUT", f"/v1/access/firewall?tenant=t{number % TENANTS}", value)
        if status != 200:
            raise BenchError(f"an access list is refused: {status} {text[:500]!r}")
        return taken

    def fill(self):
        """Puts the services into the database while nothing runs, as rows like those that instructions write."""
        for number in range(TENANTS):
            self.put(number)
        self.down()
        with sqlite3.connect(self.database) as database:
            database.execute("PRAGMA foreign_keys = OFF")
            text = database.execute("SELECT body FROM services WHERE name = 's0'").fetchone()[0]
            pattern = json.loads(text)
            for number in range(TENANTS, self.services):
                made = database.execute(
                    "INSERT INTO versions (made, state, generation) VALUES (0, 'in-force', 1)").lastrowid
                row = dict(pattern, tenant=f"t{number % TENANTS}", name=f"s{number}", addresses=[address(number)])
                database.execute(
                    "INSERT INTO services (tenant, name, body, created, version) VALUES (?, ?, ?, ?, ?)",
                    (row["tenant"], row["name"], json.dumps(row), made, made))
        database.close()

    def inside(self, node, *words):
        return [self.program, "exec", self.name, node, "--", *words]

    def gaps(self, action, seconds):
        """The longest gaps between datagrams of a train of 5,000 a second, in milliseconds, while `action` goes on."""
        receivers = [subprocess.Popen(
            self.inside(node, "python3", "-c", TRAIN, "receive", "-", "9000", str(seconds + 1)),
            stdout=subprocess.PIPE, text=True) for node in self.servers]
        time.sleep(0.7)
        sender = subprocess.Popen(self.inside("alice", "python3", "-c", TRAIN, "send", "203.0.113.80", "9000", str(seconds)))
        end = time.monotonic() + seconds - 0.2
        time.sleep(0.2)
        count = 0
        while time.monotonic() < end:
            action(count)
            count += 1
        sender.wait()
        lines = [receiver.communicate()[0].split() for receiver in receivers]
        return max((line for line in lines if line), key=len, default=["nan"]), count

    @property
    def servers(self):
        nodes = json.loads(run(self.program, "status", self.name, "--json"))["nodes"]
        return [node["name"] for node in nodes if node["name"].startswith("web")]

    def log(self):
        with open(f"/run/tapline/{self.name}/appliance.log", errors="replace") as text:
            return text.read()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(lab, program, services, count, label, key):
    bench = Bench(lab, program, services, key)
    figures = {}
    lab.on_close(lambda: subprocess.run([program, "down", bench.name], capture_output=True))
    bench.up()
    bench.fill()
    figures["up with all services, s"] = bench.up()
    print(f"{label}: up with {services} services took {figures['up with all services, s']:.1f} s", flush=True)
    first = bench.put(services)
    figures["the first put after up, ms"] = first
    bench.delete(services)
    puts, deletes, changes = [], [], []
    for number in range(count):
        puts.append(bench.put(services + number))
        changes.append(bench.put(services + number, 81))
        deletes.append(bench.delete(services + number))
    lists = [bench.access(number, 20) for number in range(count)]
    for name, values in (("put", puts), ("change", changes), ("delete", deletes), ("access list of 20 rules", lists)):
        figures[f"{name}, ms, median"] = median(values)
        figures[f"{name}, ms, 90th percentile"] = percentile(values, 0.9)
    stages = {}
    for line in bench.log().splitlines():
        for stage, value in re.findall(r"(\w+) ([0-9.]+) ms", line) if "instruction took" in line else []:
            stages.setdefault(stage, []).append(float(value))
    for stage, values in stages.items():
        figures[f"of that in the control process: {stage}, ms, median"] = median(values)
    quiet, _ = bench.gaps(lambda _: time.sleep(0.1), 4)
    busy, done = bench.gaps(lambda number: bench.put(services, 80 + number % 2), 8)
    servers = bench.servers
    health, turned = bench.gaps(
        lambda number: run(program, "disable" if number % 2 == 0 else "enable", bench.name, servers[-1]), 6)
    figures["longest gap of a train, quiet, ms"] = float(quiet[0])
    figures[f"longest gap of a train, instructions, ms"] = float(busy[0])
    figures[f"longest gap of a train, changes of health, ms"] = float(health[0])
    # What else the machine did: figures of a busy one are not those of a quiet one.
    figures["load of the machine, processes"] = os.getloadavg()[0]
    print(f"{label}: {done} instructions and {turned} changes of health beside the train", flush=True)
    bench.down()
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tapline", required=True)
    parser.add_argument("--earlier")
    parser.add_argument("--earlier-name")
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--instructions", type=int, default=30)
    parser.add_argument("--few", type=int, default=3, help="instructions of the commit beside")
    options = parser.parse_args()
    lab = Lab()
    try:
        now = measure(lab, options.tapline, options.services, options.instructions, "today", "now")
        before = {}
        if options.earlier:
            before = measure(lab, options.earlier, options.services, options.few, options.earlier_name, "earlier")
        print()
        print(f"{'beside ' + format(options.services, ',') + ' services':<64} {'today':>10} {'before':>10} {'ratio':>8}")
        for name, value in now.items():
            other = before.get(name)
            print(f"{name:<64} {value:>10.2f} {other if other is None else format(other, '.2f')!s:>10} "
                  f"{'' if not other else format(value / other, '.3f'):>8}")
    except BenchError as problem:
        sys.exit(f"{problem}")
    finally:
        lab.close()


main()
