"""What the figures are wanted to be, as ratios of medians within one run, and whether they are."""
from dataclasses import dataclass

KERNEL = ("bridge", "routing")
OPEN_VSWITCH = ("Open vSwitch",)


@dataclass(frozen=True)
class Aim:
    """A ratio of Tapline's median to the best of its peers'. Where `at_least` is false, less is better."""
    title: str
    scenario: str
    cell: str
    figure: str
    peers: tuple
    bound: float
    at_least: bool = True
    system: str = "Tapline"

    def judge(self, results):
        """The verdict; None where its scenario, or this way of running Tapline, was not measured."""
        measured = results.values.get((self.scenario, self.cell, self.figure), {})
        if self.system not in measured:
            return None
        wanted = f"{'≥' if self.at_least else '≤'} {self.bound}"
        medians = [results.median(self.scenario, self.cell, self.figure, peer) for peer in self.peers if peer in measured]
        if not medians:
            return Verdict(self.title, wanted, "–", None)
        best = max(medians) if self.at_least else min(medians)
        ratio = results.median(self.scenario, self.cell, self.figure, self.system) / best
        return Verdict(self.title, wanted, f"{ratio:.3f}",
                       ratio >= self.bound if self.at_least else ratio <= self.bound)


@dataclass(frozen=True)
class Verdict:
    """One aim and what was measured. `reached` is None where the peer was not measured."""
    title: str
    wanted: str
    measured: str
    reached: bool | None

    def __str__(self):
        word = {True: "reached", False: "NOT reached", None: "not measured"}[self.reached]
        return f"{self.title:<86} {self.wanted:>9} {self.measured:>9}  {word}"


def _aims():
    for cell, title, kernel, open_vswitch in (("udp64-one", "1 flow", 3.3, 5), ("udp64-bursts", "bursts", 2.5, 4.5),
                                              ("udp64-turn", "in turn", 2, 2.8)):
        yield Aim(f"chain, 64-byte UDP, {title}: to the kernel's better", "chain", cell, "delivered", KERNEL, kernel)
        yield Aim(f"chain, 64-byte UDP, {title}: to Open vSwitch", "chain", cell, "delivered", OPEN_VSWITCH, open_vswitch)
    yield Aim("single hop, 64-byte UDP, 1 flow: to the bridge", "hop", "udp64-one", "delivered", ("bridge",), 1.7)
    for cell, title in (("tcp1", "1 stream"), ("tcp4", "4 streams")):
        yield Aim(f"chain, TCP bulk, {title}: to the kernel's better", "chain", cell, "bits", KERNEL, 1)
        yield Aim(f"chain, TCP bulk, {title}: to Open vSwitch", "chain", cell, "bits", OPEN_VSWITCH, 1.5)
    yield Aim("chain, request/response, median: to the kernel's better", "chain", "ask", "p50", KERNEL, 1.3, False)
    yield Aim("chain, the same with latency: low", "chain", "ask", "p50", KERNEL, 1.3, False, "Tapline, low latency")
    for scenario in ("hop", "distribute2", "distribute4", "chain"):
        for cell, title in (("paced", "100 k/s"), ("udp64-bursts", "full load, bursts")):
            yield Aim(f"{scenario}, processor time per frame, {title}: to the coalescing relay", scenario, cell,
                      "processor", ("coalescing relay",), 1.05, False)
            yield Aim(f"{scenario}, the same, nothing coalesced, {title}: to the relay", scenario, cell, "processor",
                      ("relay",), 1.05, False, "Tapline, not coalescing")


def verdicts(results):
    """Every aim that has to do with what was measured."""
    return [verdict for verdict in (aim.judge(results) for aim in _aims()) if verdict is not None]
