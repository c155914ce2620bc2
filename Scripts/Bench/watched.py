"""Tapline while somebody watches its packets, and its peer: the chain's throughput with traces and captures."""
import time

from tapline import Tapline


class WatchedTapline(Tapline):
    """Tapline with a command beside it, which follows or captures packets from the start to the end."""
    cells = {"udp64-one", "udp64-bursts", "udp64-turn", "udp1400-bursts", "fast", "tcp1", "tcp4"}

    def up(self):
        super().up()
        self.watcher = self.lab.start(*self.watch())
        # Engines copy from here on.
        time.sleep(1)

    def watch(self):
        """The command's words."""
        raise NotImplementedError

    def readers(self):
        return [self.watcher.pid]

    def roots(self):
        return [*super().roots(), self.watcher.pid]


class SampledTapline(WatchedTapline):
    key = "Tapline, trace of one flow in 64"

    def watch(self):
        return [self.command, "trace", self.name, "--sample", "1/64", "--quiet", "--json"]


class TracedTapline(WatchedTapline):
    key = "Tapline, trace of everything"

    def watch(self):
        return [self.command, "trace", self.name, "--quiet", "--json"]


class CapturedTapline(WatchedTapline):
    """What goes into and out of the first application, at its first device."""
    key = "Tapline, capture of one hop"

    def watch(self):
        node, device, _ = self.scenario.inline[0]
        return [self.command, "capture", self.name, node, "--interface", device, "-w", "/dev/null"]


class DumpedTapline(WatchedTapline):
    """The same packets by tcpdump in the node."""
    key = "Tapline, tcpdump on one hop"

    def watch(self):
        node, device, _ = self.scenario.inline[0]
        return ["nsenter", f"--net={self.path(node)}", "tcpdump", "-i", device, "-w", "/dev/null"]
