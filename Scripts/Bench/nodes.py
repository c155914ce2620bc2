"""The nodes of a scenario as namespaces of the bench's own, for every system but Tapline, which makes its own."""
from scenarios import SERVICE

QUEUE_LENGTH = 1000  # of every leg's device, as Tapline's TAPs have it


class Nodes:
    """The namespaces of one system's nodes, and their addresses, routes and neighbours once the legs are there."""

    def __init__(self, lab, scenario, prefix):
        self.lab, self.scenario = lab, scenario
        self.paths = {node: lab.namespace(f"{prefix}-{node}") for node in scenario.nodes}

    def path(self, leg):
        return self.paths[leg.node]

    def configure(self, gateway_mac=None, copies_as_server=False):
        """Gives the legs' devices what they need. `gateway_mac` maps a leg to the MAC address behind its gateway's
        address; where it is not given, that is the next leg's own, as on one Ethernet. With `copies_as_server` the passive
        applications have the server's MAC address: a mirrored frame keeps its destination, and is received only where
        that is the receiver's."""
        next_legs = self.scenario.next_legs()
        lines = {path: [] for path in self.paths.values()}
        for leg in self.scenario.legs.values():
            as_server = copies_as_server and leg.name in self.scenario.copies
            mac = self.scenario.legs["server"].mac if as_server else leg.mac
            lines[self.path(leg)] += [
                f"link set {leg.name} address {mac} mtu 1500 txqueuelen {QUEUE_LENGTH} up",
                f"address add {leg.address}/24 dev {leg.name}"]
            if leg.name in next_legs:
                behind = gateway_mac(leg) if gateway_mac else next_legs[leg.name].mac
                lines[self.path(leg)].append(
                    f"neighbour replace {leg.gateway} lladdr {behind} dev {leg.name} nud permanent")
        for name in ("client", "server"):
            lines[self.paths[name]].append(f"route add default via {self.scenario.legs[name].gateway}")
        lines[self.paths["server"]].append(f"address add {SERVICE}/32 dev lo")
        for node, inner, outer in self.scenario.inline:
            lines[self.paths[node]] += [
                f"route add 192.0.2.0/24 via {self.scenario.legs[inner].gateway}",
                f"route add default via {self.scenario.legs[outer].gateway}"]
            self.lab.sysctl(self.paths[node], "net.ipv4.ip_forward=1")
        for path, text in lines.items():
            self.lab.configure(path, *text)
