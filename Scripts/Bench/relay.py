"""The bench's own C relay (relay.c) on TAPs."""
import os

from nodes import Nodes
from system import SystemOfNodes


class Relay(SystemOfNodes):
    key = "relay"
    mode = "batch"
    process = None

    def up(self):
        self.nodes = Nodes(self.lab, self.scenario, self.key.replace(" ", "-"))
        self.prepare()
        legs = list(self.scenario.legs.values())
        next_legs = self.scenario.next_legs()
        rules = []
        for leg in legs:
            if leg.name not in next_legs:
                continue
            targets = [next_legs[leg.name]]
            if leg.name in self.scenario.copied():
                targets += [self.scenario.legs[copy] for copy in self.scenario.copies]
            rules.append(f"{leg.number}>" + ",".join(f"{target.number}={target.mac}" for target in targets))
        self.process = self.lab.start(
            os.path.join(self.lab.folder, "relay"), self.mode,
            os.path.join(self.lab.folder, f"{self.scenario.name}.{self.key}"),
            *(self.port(leg) for leg in legs), "--", *rules, ready="forwarding")
        self.connect()
        self.nodes.configure()

    def prepare(self):
        """Makes what has to be there before the relay opens its ports."""

    def connect(self):
        """Connects the ports that the relay has made."""

    def port(self, leg):
        """The port of a leg, as the relay takes it."""
        return f"{self.nodes.path(leg)}/{leg.name}"

    def processes(self):
        return [self.process.pid]


class CoalescingRelay(Relay):
    key = "coalescing relay"
    mode = "coalesce"
