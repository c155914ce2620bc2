"""The kernel's own ways: a veth pair, bridges, routing, and copies by tc."""
import os

from lab import inside, run
from nodes import Nodes
from scenarios import UNDERLAY, UNDERLAY_MTU
from system import SystemOfNodes


class VethPair(SystemOfNodes):
    """The customer's and the server's device are two ends of one veth: nothing is switched at all."""
    key = "veth pair"

    def up(self):
        self.nodes = Nodes(self.lab, self.scenario, "veth")
        client, server = self.scenario.legs["client"], self.scenario.legs["server"]
        self.lab.configure(
            self.nodes.path(client),
            f"link add {client.name} type veth peer name {server.name} netns {self.nodes.path(server).split('/')[-1]}")
        self.nodes.configure()


class _Switched(SystemOfNodes):
    """The other ends of the legs' veths are in a namespace in the middle, under the legs' names."""

    def _connect(self, prefix):
        self.nodes = Nodes(self.lab, self.scenario, prefix)
        self.middle = self.lab.namespace(prefix)
        for leg in self.scenario.legs.values():
            if leg.name not in self.scenario.tunnels:
                self.lab.configure(
                    self.nodes.path(leg),
                    f"link add {leg.name} type veth peer name {leg.name} netns {self.middle.split('/')[-1]}")
        self._connect_tunnels()
        self.lab.configure(self.middle, *(f"link set {name} up" for name in self.scenario.legs))


    def _connect_tunnels(self):
        """The kernel's own tunnels between the middle and the application at another site, under the legs' names."""
        legs = [self.scenario.legs[name] for name in self.scenario.tunnels]
        if not legs:
            return
        far = self.nodes.path(legs[0])
        self.lab.configure(
            far, f"link add underlay mtu {UNDERLAY_MTU} type veth peer name underlay mtu {UNDERLAY_MTU} "
                 f"netns {os.path.basename(self.middle)}")
        for path, (own, other) in ((self.middle, UNDERLAY), (far, UNDERLAY[::-1])):
            self.lab.configure(
                path, f"address add {own}/24 dev underlay", "link set underlay up",
                *(f"link add {leg.name} type vxlan id {self.scenario.tunnels[leg.name]} local {own} remote {other} "
                  f"dstport 4789 dev underlay" for leg in legs))


class Bridges(_Switched):
    """A bridge for each pass; copies by mirred at the ports where the copied packets come in."""
    key = "bridge"

    def up(self):
        self._connect("bridge")
        lines = []
        for number, pair in enumerate(self.scenario.passes):
            lines += [f"link add bridge{number} type bridge", f"link set bridge{number} up"]
            lines += [f"link set {name} master bridge{number}" for name in pair]
        self.lab.configure(self.middle, *lines)
        for name in self.scenario.copied():
            mirrors = " ".join(f"action mirred egress mirror dev {copy}" for copy in self.scenario.copies)
            self._traffic_control(f"qdisc add dev {name} clsact",
                                  f"filter add dev {name} ingress u32 match u32 0 0 {mirrors}")
        self.nodes.configure(copies_as_server=True)

    def _traffic_control(self, *lines):
        for line in lines:
            run(*inside(self.middle, "tc", *line.split()))


class Routing(_Switched):
    """The namespace in the middle routes, by the interface where a packet comes in."""
    key = "routing"

    def up(self):
        self._connect("route")
        lines = []
        next_legs = self.scenario.next_legs()
        for leg in self.scenario.legs.values():
            lines += [f"link set {leg.name} address {self._middle_mac(leg)}",
                      f"address add {leg.gateway}/24 dev {leg.name}",
                      f"neighbour replace {leg.address} lladdr {leg.mac} dev {leg.name} nud permanent",
                      f"rule add iif {leg.name} lookup {100 + leg.number}"]
        for leg in self.scenario.legs.values():
            if leg.name in next_legs:
                after = next_legs[leg.name]
                lines.append(f"route add default via {after.address} dev {after.name} table {100 + leg.number}")
        self.lab.configure(self.middle, *lines)
        self.lab.sysctl(self.middle, "net.ipv4.ip_forward=1")
        self.nodes.configure(gateway_mac=self._middle_mac)

    @staticmethod
    def _middle_mac(leg):
        return f"02:00:5e:00:11:{leg.number:02x}"
