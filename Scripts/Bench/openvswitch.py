"""Open vSwitch's userspace datapath with TAPs and segmentation offload, by static flows and groups.

Its two daemons are the bench's own: sockets, database and logs are in the bench's folder, and the namespace that they
run in is one of its own.
"""
import os

from lab import inside, run
from nodes import Nodes
from system import SystemOfNodes


class OpenVSwitch(SystemOfNodes):
    key = "Open vSwitch"
    process = None

    def up(self):
        self.nodes = Nodes(self.lab, self.scenario, "ovs")
        middle = self.lab.namespace("ovs")
        folder = os.path.join(self.lab.folder, f"ovs-{self.scenario.name}")
        os.mkdir(folder)
        self.environment = dict(os.environ, OVS_RUNDIR=folder, OVS_LOGDIR=folder, OVS_DBDIR=folder,
                                OVS_SYSCONFDIR=folder)
        database, socket = f"{folder}/conf.db", f"{folder}/db.sock"
        self._tool("ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema")
        self.lab.start(*inside(middle, "ovsdb-server", database, f"--remote=punix:{socket}", "--no-chdir",
                               f"--pidfile={folder}/ovsdb-server.pid", "-vconsole:off"), environment=self.environment)
        self.lab.wait(lambda: os.path.exists(socket), lambda: "ovsdb-server did not begin")
        configure = ["ovs-vsctl", f"--db=unix:{socket}", "--timeout=20"]
        self._tool(*configure, "--no-wait", "init", "--", "set", "Open_vSwitch", ".",
                   "other_config:userspace-tso-enable=true")
        self.process = self.lab.start(
            *inside(middle, "ovs-vswitchd", f"unix:{socket}", "--no-chdir", f"--pidfile={folder}/ovs-vswitchd.pid",
                    "-vconsole:off"), environment=self.environment)
        words = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail-mode=secure"]
        for leg in self.scenario.legs.values():
            words += ["--", "add-port", "br0", leg.name, "--", "set", "Interface", leg.name, "type=tap",
                      f"ofport_request={leg.number + 1}"]
        self._tool(*configure, *words)
        self._flows()
        for leg in self.scenario.legs.values():
            self.lab.configure(middle, f"link set {leg.name} netns {os.path.basename(self.nodes.path(leg))}")
        self.nodes.configure()

    def _tool(self, *words):
        return run(*words, environment=self.environment)

    def _flows(self):
        self._tool("ovs-ofctl", "-O", "OpenFlow13", "del-flows", "br0")
        next_legs = self.scenario.next_legs()
        for leg in self.scenario.legs.values():
            if leg.name not in next_legs:
                continue
            targets = [next_legs[leg.name]]
            if leg.name in self.scenario.copied():
                targets += [self.scenario.legs[copy] for copy in self.scenario.copies]
            deliveries = [f"set_field:{target.mac}->eth_dst,output:{target.number + 1}" for target in targets]
            actions = deliveries[0]
            if len(targets) > 1:
                buckets = "".join(f",bucket=actions={delivery}" for delivery in deliveries)
                self._tool("ovs-ofctl", "-O", "OpenFlow13", "add-group", "br0",
                           f"group_id={leg.number + 1},type=all{buckets}")
                actions = f"group:{leg.number + 1}"
            self._tool("ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0",
                       f"in_port={leg.number + 1},actions={actions}")

    def processes(self):
        return [self.process.pid]
