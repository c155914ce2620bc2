"""What is measured: nodes, their legs, and which leg's packets go to which.

Addresses are the same for every system: a leg of network N has 198.18.N.10/24 (the customer's 192.0.2.10/24), the switch
.1; customers send to SERVICE, which the server has on its loopback device. Applications in mid-chain are namespaces that
forward, without a rule.
"""
from dataclasses import dataclass, field, replace

SERVICE = "203.0.113.80"
UNDERLAY, UNDERLAY_MTU = ("198.18.64.1", "198.18.64.2"), 1550  # the near end and the far one
SINK_PORT, ECHO_PORT, BULK_PORT = 9000, 9001, 5201


@dataclass(frozen=True)
class Leg:
    """A node's device on the switch."""
    name: str       # the device's name, the same everywhere
    node: str
    network: str    # without its last octet
    number: int     # which of the scenario's legs it is, from 0

    @property
    def address(self):
        return f"{self.network}.10"

    @property
    def gateway(self):
        return f"{self.network}.1"

    @property
    def mac(self):
        return f"02:00:5e:00:10:{self.number:02x}"


@dataclass(frozen=True)
class Scenario:
    """`passes` are pairs of legs: what comes from the first goes to the second, on the way there and on the way back.
    `copies` names the legs of passive applications, which get a copy of what comes from the customer and from the
    server. `tunnels` has the VXLAN identifiers of the legs of an application at another site; the network between has an MTU
    that leaves 1500 octets inside."""
    name: str
    title: str
    legs: dict
    passes: list
    inline: list = field(default_factory=list)
    copies: list = field(default_factory=list)
    tunnels: dict = field(default_factory=dict)

    @property
    def nodes(self):
        return list(dict.fromkeys(leg.node for leg in self.legs.values()))

    def next_legs(self):
        """From each leg's name to the leg that its packets go to (copies apart)."""
        return {one: self.legs[other] for pair in self.passes for one, other in (pair, pair[::-1])}

    def copied(self):
        """The legs whose packets are copied to the passive applications."""
        return {"client", "server"} if self.copies else set()


def _legs(*pairs):
    networks = ["192.0.2"] + [f"198.18.{number}" for number in range(2, 2 + len(pairs))]
    return {name: Leg(name, node, network, number)
            for number, ((name, node), network) in enumerate(zip(pairs, networks))}


def _distribution(receivers):
    copies = [f"copy{number}" for number in range(1, receivers)]
    return Scenario(
        f"distribute{receivers}", f"distribution to {receivers}: a server, and copies to {receivers - 1} passive",
        _legs(("client", "client"), *((copy, copy) for copy in copies), ("server", "server")),
        [("client", "server")], copies=copies)


HOP = Scenario("hop", "single hop: customer → server", _legs(("client", "client"), ("server", "server")),
               [("client", "server")])
CHAIN = Scenario(
    "chain", "chain of three hops: customer → application → application → server",
    _legs(("client", "client"), ("one-in", "one"), ("one-out", "one"), ("two-in", "two"), ("two-out", "two"),
          ("server", "server")),
    [("client", "one-in"), ("one-out", "two-in"), ("two-out", "server")],
    inline=[("one", "one-in", "one-out"), ("two", "two-in", "two-out")])
TRACE = replace(CHAIN, name="trace", title="the same chain, with traces and captures")
ATTACH = replace(HOP, name="attach", title="the single hop, with a card of the machine between the customer and the switch")
TUNNEL = Scenario(
    "tunnel", "an application at another site, over VXLAN: customer → application → server",
    _legs(("client", "client"), ("one-in", "one"), ("one-out", "one"), ("server", "server")),
    [("client", "one-in"), ("one-out", "server")], inline=[("one", "one-in", "one-out")],
    tunnels={"one-in": 10, "one-out": 11})
SUBJECTS = {"hop": [HOP], "distribute": [_distribution(2), _distribution(4)], "chain": [CHAIN],
            "trace": [TRACE], "attach": [ATTACH], "tunnel": [TUNNEL]}
