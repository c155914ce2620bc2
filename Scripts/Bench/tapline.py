"""Tapline itself: a topology file with the scenario's nodes, brought up by the command line as people do."""
import json
import os

from lab import run
from scenarios import SERVICE, UNDERLAY, UNDERLAY_MTU
from system import System


class Tapline(System):
    key = "Tapline"
    command = None      # the path of the program, set by whoever builds it
    engine = ""         # the `engine` line of the file
    site = ", offload: on"  # what the file says of the site that tunnels lead to

    def up(self):
        self.name = f"{self.lab.tag}-{self.key}-{self.scenario.name}".replace(" ", "-").replace("/", "-")
        file = os.path.join(self.lab.folder, f"{self.name}.yaml")
        with open(file, "w") as output:
            output.write(self.engine + topology(self.scenario, self.site))
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


class CuttingTapline(Tapline):
    """Tapline that cuts segments itself before they go into tunnels, as it does by default."""
    key = "Tapline, cutting"
    site = ""


def topology(scenario, site=""):
    """The scenario as a topology file, every device a node's own (offload on, the passive ones' too)."""
    legs = scenario.legs
    lines = ["name: bench", "interfaces:"]
    lines += [f"  {leg.name}: {{ address: {leg.gateway}/24 }}" for leg in legs.values() if leg.name not in scenario.tunnels]
    if scenario.tunnels:
        lines += [f"  underlay: {{ address: {UNDERLAY[0]}/24, mtu: {UNDERLAY_MTU} }}", "routers:",
                  f"  site: {{ interface: underlay, address: {UNDERLAY[1]}/24{site}, "
                  f"sysctls: {{ net.ipv4.conf.all.rp_filter: 0, net.ipv4.conf.default.rp_filter: 0 }}, "
                  f"setup: [{_site(scenario)}] }}"]
    lines += ["customers:", f"  client: {{ interface: client, address: {legs['client'].address}/24 }}", "applications:"]
    lines += [f"  {copy}: {{ passive: true, offload: on, attach: {copy} }}" for copy in scenario.copies]
    lines += [f"  {node}: {{ attach: {{ in: {inner}, out: {outer} }} }}"
              for node, inner, outer in scenario.inline if not scenario.tunnels]
    lines += [f"  {node}: {{ remote: {{ interface: underlay, in: {_tunnel(scenario, inner)}, "
              f"out: {_tunnel(scenario, outer)} }} }}" for node, inner, outer in scenario.inline if scenario.tunnels]
    lines.append(f"  server: {{ attach: server }}")
    sequence = [node for node, _, _ in scenario.inline] + ["server"]
    distribute = scenario.copies + sequence[:1]
    lines += ["services:", f"  bulk: {{ address: {SERVICE}, from: client, distribute: [{', '.join(distribute)}], "
              f"sequence: [{', '.join(sequence)}] }}"]
    return "\n".join(lines) + "\n"


def _tunnel(scenario, name):
    leg = scenario.legs[name]
    return (f"{{ vxlan: {{ id: {scenario.tunnels[name]}, peer: {UNDERLAY[1]} }}, gateway: {leg.gateway}/24, "
            f"address: {leg.address}, mac: \"{leg.mac}\" }}")


def _site(scenario):
    """The commands that make the other site: the kernel's tunnels, and the application, which forwards."""
    commands = []
    for name, number in scenario.tunnels.items():
        leg = scenario.legs[name]
        commands += [f"ip link add {name} address {leg.mac} type vxlan id {number} local {UNDERLAY[1]} "
                     f"remote {UNDERLAY[0]} dstport 4789 dev \"$TAPLINE_IN\"",
                     f"ip link set {name} up", f"ip address add {leg.address}/24 dev {name}"]
    for _, inner, outer in scenario.inline:
        commands += [f"ip route add 192.0.2.0/24 via {scenario.legs[inner].gateway}",
                     f"ip route replace default via {scenario.legs[outer].gateway}"]
    return ", ".join(f"'{command}'" for command in commands)
