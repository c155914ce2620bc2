#!/usr/bin/env python3
"""Kills processes of a topology under the load of several tenants, and looks after each kill at what is left.

kill-rounds TAPLINE --seed N [--rounds N] [--seconds N] [--steps]

Each round kills tapline-records, an engine, the control process, or two of them, at a random moment while every tenant
gives instructions. When all is up again, with no instruction under way:

- every tenant has what was answered as in force; an instruction without an answer is whole or not there;
- the customers reach exactly the addresses that the database has: none is half in force;
- the audit tells how each service became what it is, and each version's end;
- `PRAGMA integrity_check` of sqlite3 says ok;
- a request without an answer, sent again with its Idempotency-Key, is done once.

With --steps, every step is cut off in turn: strace kills tapline-records, and then the control process, at its first, its
second, … write to a file or a socket during one instruction, until an instruction makes fewer.

It needs root, and a /run and a process namespace of its own. It prints one line for each kind of kill, and ends with
status 1 at the first thing that does not hold.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TENANTS = [f"t{number}" for number in range(4)]
NAMES = ["a", "b", "c"]

TOPOLOGY = """
name: {name}
interfaces:
  customers: {{ address: 192.0.2.1/24 }}
  inspection: {{ address: 198.18.2.1/24 }}
  inspected: {{ address: 198.18.3.1/24 }}
  servers: {{ address: 198.18.4.1/24 }}
customers:
{customers}
applications:
  firewall: {{ type: firewall, attach: {{ in: inspection, out: inspected }} }}
  web: {{ type: web-server, attach: servers }}
services:
  own: {{ address: 203.0.113.255, ports: [icmp], sequence: [firewall, web] }}
tenants:
{tenants}
records: {{ database: lab.db }}
engines: 2
"""

# Which of the addresses answer an echo request, asked three times, from a customer's namespace.
PING = """
import json, os, select, socket, struct, sys, time
def sum_of(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
mark, there = os.urandom(8), set()
def ask(addresses, wait):
    for number, address in enumerate(addresses):
        head = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xffff, number)
        head = head[:2] + struct.pack("!H", sum_of(head + mark)) + head[4:]
        raw.sendto(head + mark, (address, 0))
    end = time.monotonic() + wait
    while (left := end - time.monotonic()) > 0 and select.select([raw], [], [], left)[0]:
        packet, (source, _) = raw.recvfrom(2048)
        if packet[20] == 0 and packet.endswith(mark): there.add(source)
addresses, expected = json.loads(sys.argv[1]), set(json.loads(sys.argv[2]))
for _ in range(50):
    ask(addresses, 0.15)
    # A lost packet on a busy machine is asked for again; what answers and should not, is no accident.
    if expected <= there: break
print(json.dumps(sorted(there)))
"""


class Fault(Exception):
    pass


class Silence(Exception):
    """There was no answer, or none from which it follows what happened."""


class Connection(http.client.HTTPConnection):
    def __init__(self, place):
        super().__init__("tapline", timeout=60)
        self.place = place

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.place)


def started(pid):
    """When a process started, in ticks; None if there is none, or it has only not been waited for."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            words = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if words[0] == "Z" else int(words[19])


class Lab:
    def __init__(self, tapline, folder):
        self.tapline = tapline
        self.folder = folder
        self.name = "k" + os.urandom(3).hex()
        self.file = f"{folder}/topology.yaml"
        self.database = f"{folder}/lab.db"
        self.state = f"/run/tapline/{self.name}"
        with open(self.file, "w") as file:
            file.write(TOPOLOGY.format(
                name=self.name,
                customers="".join(f"  {name}: {{ interface: customers }}\n" for name in TENANTS),
                tenants="".join(
                    f"  {name}: {{ customers: [{name}], addresses: 203.0.113.{8 * number}/29, "
                    "applications: [firewall, web], limits: { instructions: 1000/s } }\n"
                    for number, name in enumerate(TENANTS))))

    def run(self, *words):
        done = subprocess.run([self.tapline, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Fault(f"tapline {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def processes(self):
        """The numbers of the processes by kind; nothing while the topology is not up."""
        try:
            with open(f"{self.state}/state.json") as file:
                state = json.load(file)
        except (OSError, ValueError):
            return {}
        found = {"control": state.get("control", {}).get("pid")}
        for process in state.get("processes", []):
            if started(process["pid"]) == process["started"]:
                found[process["what"].removeprefix("tapline-")] = process["pid"]
        return found

    def ask(self, method, target, token=None, body=None, headers=()):
        fields = {"Connection": "close", **dict(headers)}
        if token: fields["Authorization"] = f"Bearer {token}"
        if body is not None: fields["Content-Type"] = "application/json"
        connection = Connection(f"{self.state}/records.sock")
        try:
            connection.request(method, target, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Silence(str(error))
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text or b"{}")
        except ValueError:
            raise Fault(f"{method} {target}: {answer.status} {text!r}")


class Writer:
    """A tenant that gives one instruction after another."""

    def __init__(self, lab, name, number, token, seed):
        self.lab, self.name, self.number, self.token = lab, name, number, token
        self.random = random.Random(seed)
        # The states of which one is true: name to address. Several after an instruction without an answer.
        self.possible = [{}]
        self.unanswered = None
        self.answered = 0
        self.fault = None

    def instruction(self):
        """A random instruction: method, target, body, and what it makes of a state."""
        now = self.possible[0]
        taken = set(now.values())
        free = [f"203.0.113.{8 * self.number + place}" for place in range(8)]
        free = [address for address in free if address not in taken]
        self.random.shuffle(free)

        def service(address):
            return {"addresses": [address], "ports": ["icmp"], "sequence": ["firewall", "web"]}

        kind, name, other = self.random.random(), *self.random.sample(NAMES, 2)
        if kind < 0.2 and name in now:
            return "DELETE", f"/v1/services/{name}", None, {key: now[key] for key in now if key != name}
        if kind < 0.4:
            after = {**now, name: free[0]}
            body = {"put": [{"name": name, **service(free[0])}]}
            if other in now:
                body["remove"] = [other]
                del after[other]
            else:
                body["put"].append({"name": other, **service(free[1])})
                after[other] = free[1]
            return "POST", "/v1/batch", body, after
        return "PUT", f"/v1/services/{name}", service(free[0]), {**now, name: free[0]}

    def give(self, method, target, body, after, key):
        try:
            status, answer = self.lab.ask(method, target, self.token, body, [("Idempotency-Key", key)])
        except Silence:
            status, answer = 503, {}
        if status == 200:
            self.possible, self.answered = [after], self.answered + 1
            return answer
        if status == 503:
            # It may be in force, or not.
            self.possible.append(after)
            self.unanswered = (method, target, body, after, key)
            return None
        raise Fault(f"{self.name}: {method} {target} {body}: {status} {answer}")

    def work(self, until):
        """Gives instructions until the flag is raised, or one has no answer."""
        try:
            while not until.is_set():
                if self.give(*self.instruction(), os.urandom(8).hex()) is None:
                    return
        except Fault as fault:
            self.fault = fault


class Rounds:
    def __init__(self, lab, seed):
        self.lab = lab
        self.random = random.Random(seed)
        self.writers = [
            Writer(lab, name, number, lab.run("tenant", "token", lab.name, name).strip(), self.random.random())
            for number, name in enumerate(TENANTS)]
        self.kills, self.cut = {}, 0

    def round(self):
        until = threading.Event()
        threads = [threading.Thread(target=writer.work, args=(until,)) for writer in self.writers]
        for thread in threads:
            thread.start()
        time.sleep(self.random.uniform(0, 0.25))
        processes = self.lab.processes()
        victims = self.random.choice(
            [["records"], ["records"], ["control"], ["engine 0"], ["engine 1"], ["engine 0", "records"],
             ["engine 0", "engine 1"], ["control", "records"]])
        for victim in victims:
            # Who serves the control process may follow it before its own turn comes.
            if victim in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(processes[victim], signal.SIGKILL)
        kind = " and ".join(victims)
        self.kills[kind] = self.kills.get(kind, 0) + 1
        # A moment longer, so that instructions meet what is dying; an engine's end may keep none from its answer.
        time.sleep(self.random.uniform(0, 0.02))
        until.set()
        for thread in threads:
            thread.join()
        for writer in self.writers:
            if writer.fault: raise writer.fault
        self.come_back("control" in victims, processes)
        self.look(kind)

    # The system calls that write: to the database, to the other process, to engines, to callers.
    WRITES = "pwrite64,fdatasync,write,writev,sendto,sendmsg"

    def step(self, victim, number):
        """Cuts an instruction off at a write; false if it makes no so many."""
        processes = self.lab.processes()
        pid = processes[victim]
        tracer = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e", f"trace={self.WRITES}",
             "-e", f"inject={self.WRITES}:signal=KILL:when={number}"], stderr=subprocess.DEVNULL)

        def is_traced():
            if started(pid) is None: return True
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/status") as file:
                        if f"TracerPid:\t{tracer.pid}\n" not in file.read(): return False
            except OSError:
                return False
            return True

        try:
            eventually("the process is traced", is_traced)
            writer = self.writers[number % len(self.writers)]
            writer.give(*writer.instruction(), os.urandom(8).hex())
        finally:
            tracer.kill()
            tracer.wait()
        # A process that was killed may need a moment to be gone.
        time.sleep(0.05)
        was_killed = started(pid) is None
        kind = f"{victim} at a write"
        self.kills[kind] = self.kills.get(kind, 0) + was_killed
        self.come_back(was_killed and victim == "control", processes)
        self.look(f"{victim} at write {number}")
        return was_killed

    def come_back(self, was_control, processes):
        if was_control:
            eventually("all that the control process started is gone", lambda: not any(
                map(started, processes.values())))
            self.integrity()
            self.lab.run("up", self.lab.file, "-d")

        # An answer of the API also means that the audit has the outcome of what was under way.
        def is_back():
            now = self.lab.processes()
            if {"engine 0", "engine 1", "records", "control"} - now.keys():
                return False
            try:
                return self.lab.ask("GET", "/v1/tenants")[0] == 200
            except Silence:
                return False

        eventually("all processes are back", is_back)

    def integrity(self):
        """Of a copy: nobody writes now, and the process has the file for itself."""
        copy = f"{self.lab.folder}/copy.db"
        for suffix in ("", "-wal"):
            if os.path.exists(self.lab.database + suffix):
                shutil.copy(self.lab.database + suffix, copy + suffix)
            elif os.path.exists(copy + suffix):
                os.unlink(copy + suffix)

        def sql(text):
            done = subprocess.run(["sqlite3", "-json", copy, text], capture_output=True, text=True)
            if done.returncode != 0 or done.stderr: raise Fault(f"sqlite3: {done.stderr}")
            return json.loads(done.stdout or "[]")

        if (said := sql("PRAGMA integrity_check")) != [{"integrity_check": "ok"}]: raise Fault(f"damaged: {said}")
        if (said := sql("PRAGMA foreign_key_check")) != []: raise Fault(f"references nothing: {said}")
        return sql

    def look(self, kind):
        sql = self.integrity()
        kept = {name: {} for name in TENANTS}
        for row in sql("SELECT tenant, name, body FROM services"):
            kept[row["tenant"]][row["name"]] = json.loads(row["body"])["addresses"][0]
        for writer in self.writers:
            if kept[writer.name] not in writer.possible:
                raise Fault(f"{kind}: {writer.name} has {kept[writer.name]}, and should have one of {writer.possible}")
        # The API says the same, and that it is in force.
        status, listed = self.lab.ask("GET", "/v1/services?limit=500")
        told = {name: {} for name in TENANTS}
        for service in listed.get("services", []):
            told[service["tenant"]][service["name"]] = service["addresses"][0]
            if service["state"] != "in-force": raise Fault(f"{kind}: {service}")
        if status != 200 or told != kept: raise Fault(f"{kind}: {status}: told {told}, kept {kept}")
        # The engines decide by it, and by nothing else.
        wanted = sorted(address for services in kept.values() for address in services.values())
        every = [f"203.0.113.{place}" for place in range(8 * len(TENANTS))]
        there = json.loads(self.lab.run(
            "exec", self.lab.name, TENANTS[0], "--", "python3", "-c", PING, json.dumps(every), json.dumps(wanted)))
        if sorted(there) != wanted: raise Fault(f"{kind}: in force {sorted(there)}, in the database {wanted}")
        self.look_at_audit(kind, sql, kept)
        for writer in self.writers:
            self.settle(kind, writer, kept[writer.name])

    def look_at_audit(self, kind, sql, kept):
        if open_ := sql("SELECT * FROM versions WHERE state NOT IN ('in-force', 'failed')"):
            raise Fault(f"{kind}: versions without an end: {open_}")
        ends = {"in-force": {"in-force", "in-force-after-restart"}, "failed": {"failed"}}
        states = {row["number"]: row["state"] for row in sql("SELECT number, state FROM versions")}
        told, lines = {name: {} for name in TENANTS}, {}
        for row in sql("SELECT * FROM audit WHERE version IS NOT NULL ORDER BY id"):
            place = (row["version"], row["tenant"], row["subject"])
            lines.setdefault(place, []).append(row["outcome"])
            if row["outcome"] != "written" or states[row["version"]] == "failed":
                continue
            own = told[row["tenant"]]
            before = json.loads(row["before"])["addresses"][0] if row["before"] else None
            if own.get(row["subject"]) != before:
                raise Fault(f"{kind}: the audit's line {row} does not follow {own.get(row['subject'])}")
            if row["after"]: own[row["subject"]] = json.loads(row["after"])["addresses"][0]
            else: own.pop(row["subject"], None)
        for (version, tenant, subject), outcomes in lines.items():
            if outcomes[0] != "written" or len(outcomes) != 2 or outcomes[1] not in ends[states[version]]:
                raise Fault(f"{kind}: version {version} ({states[version]}), {tenant}/{subject}: {outcomes}")
        if told != kept: raise Fault(f"{kind}: the audit makes {told}, and the database has {kept}")

    def settle(self, kind, writer, kept):
        writer.possible = [kept]
        if not (again := writer.unanswered):
            return
        writer.unanswered = None
        self.cut += 1
        if self.random.random() < 0.5:
            return
        # Once more with the same key: whether it was done before or not, it is done now, and once.
        versions = self.lab.ask("GET", f"/v1/audit?tenant={writer.name}&limit=1")[1]["entries"]
        if writer.give(*again) is None: raise Fault(f"{kind}: {again} has no answer again")
        if kept == again[3]:
            later = self.lab.ask("GET", f"/v1/audit?tenant={writer.name}&limit=1")[1]["entries"]
            if later != versions: raise Fault(f"{kind}: {again} was done twice: {later}")


def eventually(what, holds):
    for _ in range(1200):
        if holds(): return
        time.sleep(0.05)
    raise Fault(f"it did not come true within a minute: {what}")


def main():
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("tapline")
    reader.add_argument("--seed", type=int, required=True)
    reader.add_argument("--rounds", type=int, default=0)
    reader.add_argument("--seconds", type=int, default=0)
    reader.add_argument("--steps", action="store_true")
    words = reader.parse_args()
    print(f"seed {words.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(words.tapline, folder)
        lab.run("up", lab.file, "-d")
        status = 0
        try:
            rounds, end, count = Rounds(lab, words.seed), time.monotonic() + words.seconds, 0
            while count < words.rounds or time.monotonic() < end:
                rounds.round()
                count += 1
            for victim in ("records", "control") if words.steps else ():
                number = 1
                while rounds.step(victim, number): number += 1
            answered = sum(writer.answered for writer in rounds.writers)
            for kind in sorted(rounds.kills): print(f"killed {kind}: {rounds.kills[kind]}")
            print(f"held: {count} rounds, {answered} answered, {rounds.cut} without an answer")
        except (Fault, Silence) as fault:
            print(f"does not hold: {fault}")
            with open(f"{lab.state}/appliance.log") as file: print("".join(file.readlines()[-20:]))
            status = 1
        finally:
            lab.run("down", lab.name)
    sys.exit(status)


main()
