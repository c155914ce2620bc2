"""What the figures are wanted to be, as ratios of medians within one run, and whether they are."""
from dataclasses import dataclass

KERNEL = ("bridge", "routing")


@dataclass(frozen=True)
class Verdict:
    """One aim and what was measured. `reached` is None where it was not measured."""
    title: str
    wanted: str
    measured: str
    reached: bool | None

    def __str__(self):
        word = {True: "reached", False: "NOT reached", None: "not measured"}[self.reached]
        return f"{self.title:<76} {self.wanted:>9} {self.measured:>9}  {word}"


def verdicts(results):
    """Every aim that has to do with what was measured."""
    judged = []
    scenarios = {scenario for scenario, _, _ in results.values}

    def compare(title, scenario, cell, figure, peers, wanted, at_least=True):
        if scenario not in scenarios:
            return
        ours = results.median(scenario, cell, figure, "Tapline")
        theirs = [value for value in (results.median(scenario, cell, figure, peer) for peer in peers) if value]
        if not ours or not theirs:
            judged.append(Verdict(title, f"{'≥' if at_least else '≤'} {wanted}", "–", None))
            return
        # The best of the peers is the one to be measured against.
        ratio = ours / (max(theirs) if at_least else min(theirs))
        judged.append(Verdict(title, f"{'≥' if at_least else '≤'} {wanted}", f"{ratio:.2f}",
                              ratio >= wanted if at_least else ratio <= wanted))

    for cell, title, kernel, open_vswitch in (("udp64-one", "1 flow", 3.3, 5), ("udp64-bursts", "bursts", 2.5, 4.5),
                                              ("udp64-turn", "in turn", 2, 2.8)):
        compare(f"chain, 64-byte UDP, {title}: to the kernel's better", "chain", cell, "delivered", KERNEL, kernel)
        compare(f"chain, 64-byte UDP, {title}: to Open vSwitch", "chain", cell, "delivered", ("Open vSwitch",),
                open_vswitch)
    compare("single hop, 64-byte UDP, 1 flow: to the bridge", "hop", "udp64-one", "delivered", ("bridge",), 1.7)
    for cell, title in (("tcp1", "1 stream"), ("tcp4", "4 streams")):
        compare(f"chain, TCP bulk, {title}: to the kernel's better", "chain", cell, "bits", KERNEL, 1)
        compare(f"chain, TCP bulk, {title}: to Open vSwitch", "chain", cell, "bits", ("Open vSwitch",), 1.5)
    compare("chain, request/response, median: to the kernel's better", "chain", "ask", "p50", KERNEL, 1.3, False)
    for scenario in sorted(scenarios):
        for cell, title in (("paced", "100 k/s"), ("udp64-bursts", "full load, bursts")):
            compare(f"{scenario}, processor time per frame, {title}: to the joining relay", scenario, cell, "processor",
                    ("joining relay",), 1.05, False)
    return judged
