"""The two ways of taking a card of the machine as an interface: on the bridge of a TAP, and by macvtap. The card is a veth."""
import json
import os
import stat

from lab import inside, run
from relay import Relay


class _Card(Relay):
    """The relay, with a card between it and the customer."""

    def prepare(self):
        self.machine = self.lab.namespace(f"{self.key.replace(' ', '-')}-machine")
        client = self.scenario.legs["client"]
        self.lab.configure(
            self.nodes.path(client),
            f"link add {client.name} type veth peer name card netns {os.path.basename(self.machine)}")
        self.lab.configure(self.machine, "link set card up")


class BridgedCard(_Card):
    """The card and a TAP are ports of a bridge."""
    key = "card on a bridge"

    def port(self, leg):
        return f"{self.machine}/tap" if leg.name == "client" else super().port(leg)

    def connect(self):
        self.lab.configure(
            self.machine, "link add bridge type bridge", "link set bridge up", "link set card master bridge",
            "link set tap master bridge txqueuelen 1000 up")


class MacvtapCard(_Card):
    """A macvtap in passthru mode has the card for itself."""
    key = "card by macvtap"

    def prepare(self):
        super().prepare()
        self.lab.configure(
            self.machine, "link add link card name tap type macvtap mode passthru",
            "link set tap txqueuelen 1000 allmulticast on up", "link set card promisc on")
        index = json.loads(run(*inside(self.machine, "ip", "-j", "link", "show", "tap")))[0]["ifindex"]
        # The number of its device file is in a sysfs of its namespace.
        number = run(*inside(
            self.machine, "unshare", "-m", "sh", "-c",
            f"mount -t sysfs sysfs /sys && cat /sys/class/macvtap/tap{index}/dev"))
        major, minor = (int(part) for part in number.split(":"))
        self.file = os.path.join(self.lab.folder, "macvtap")
        os.mknod(self.file, stat.S_IFCHR | 0o600, os.makedev(major, minor))

    def port(self, leg):
        return f"={self.file}" if leg.name == "client" else super().port(leg)
