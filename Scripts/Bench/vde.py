"""VDE's learning switch with TAPs, for the single hop."""
import os

from lab import inside
from nodes import Nodes
from system import SystemOfNodes


class VDE(SystemOfNodes):
    key = "VDE"
    # What places it; the rest would only take time.
    cells = {"udp64-one", "tcp1", "ask"}
    process = None

    def up(self):
        self.nodes = Nodes(self.lab, self.scenario, "vde")
        middle = self.lab.namespace("vde")
        words = ["vde_switch", "-s", os.path.join(self.lab.folder, "vde"), "-M",
                 os.path.join(self.lab.folder, "vde.management")]
        for name in self.scenario.legs:
            words += ["-tap", name]
        # It ends where its standard input does.
        self.process = self.lab.start(*inside(middle, *words), open_input=True)
        for leg in self.scenario.legs.values():
            device = f"/proc/{self.process.pid}/net/dev"
            self.lab.wait(lambda: f"{leg.name}:" in open(device).read(), lambda: "vde_switch did not begin", self.process)
        for leg in self.scenario.legs.values():
            self.lab.configure(middle, f"link set {leg.name} netns {os.path.basename(self.nodes.path(leg))}")
        self.nodes.configure()

    def processes(self):
        return [self.process.pid]
