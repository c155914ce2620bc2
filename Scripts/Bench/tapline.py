"""Tapline itself: a topology file with the scenario's nodes, brought up by the command line as people do."""
import json
import os

from lab import run
from scenarios import SERVICE
from system import System


class Tapline(System):
    key = "Tapline"
    command = None      # the path of the program, set by whoever builds it
    engine = ""         # the `engine` line of the file

    def up(self):
        self.name = f"{self.lab.tag}-{self.key}-{self.scenario.name}".replace(" ", "-").replace("/", "-")
        file = os.path.join(self.lab.folder, f"{self.name}.yaml")
        with open(file, "w") as output:
            output.write(self.engine + topology(self.scenario))
        self.lab.on_close(lambda: run(self.command, "down", self.name))
        run(self.command, "up", file, "--name", self.name, "-d")
        self.namespaces = {node["name"]: node["namespace"] for node in self.status()["nodes"]}

    def status(self):
        return json.loads(run(self.command, "status", self.name, "--json"))

    def path(self, node):
        return f"/run/netns/{self.namespaces[node]}"

    def processes(self):
        return [engine["pid"] for engine in self.status()["engines"]]

    def roots(self):
        return [self.status()["pid"]]


class EarlierTapline(Tapline):
    """Tapline as it was at another commit, built apart: what a change has brought, and what it has cost."""
    key = "Tapline, earlier"


class UncoalescedTapline(Tapline):
    """Tapline with frames forwarded one by one, to be held against the relay that does the same."""
    key = "Tapline, not coalescing"
    engine = "engine: { coalescing: off }\n"
    cells = {"udp64-one", "udp64-bursts", "paced"}


class LowLatencyTapline(Tapline):
    """Tapline that looks for more frames for a while before it sleeps."""
    key = "Tapline, low latency"
    engine = "engine: { latency: low }\n"
    cells = {"ask", "paced"}


def topology(scenario):
    """The scenario as a topology file, every device a node's own (offload on, the passive ones' too)."""
    legs = scenario.legs
    lines = ["name: bench", "interfaces:"]
    lines += [f"  {leg.name}: {{ address: {leg.gateway}/24 }}" for leg in legs.values()]
    lines += ["customers:", f"  client: {{ interface: client, address: {legs['client'].address}/24 }}", "applications:"]
    lines += [f"  {copy}: {{ passive: true, offload: on, attach: {copy} }}" for copy in scenario.copies]
    lines += [f"  {node}: {{ attach: {{ in: {inner}, out: {outer} }} }}"
              for node, inner, outer in scenario.inline]
    lines.append(f"  server: {{ attach: server }}")
    sequence = [node for node, _, _ in scenario.inline] + ["server"]
    distribute = scenario.copies + sequence[:1]
    lines += ["services:", f"  bulk: {{ address: {SERVICE}, from: client, distribute: [{', '.join(distribute)}], "
              f"sequence: [{', '.join(sequence)}] }}"]
    return "\n".join(lines) + "\n"
