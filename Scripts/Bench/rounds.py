"""Rounds of measurements, every system's beside its peers', and what is kept of them."""
import subprocess
import sys
import time
from statistics import median

from cells import CELLS
from lab import BenchError
from processor import CORES, Strangers

DISTURBED = 0.05    # the share of the machine's processor time from which on a round is marked


class Results:
    """Every value of every figure. Keys: the scenario's, the cell's, the figure's and the system's name."""

    def __init__(self):
        self.values = {}        # (scenario, cell, figure) -> {system: [value of each round]}
        self.disturbances = {}  # (scenario, cell) -> {round: share of the processor that others took}
        self.failures = []      # sentences

    def add(self, scenario, cell, system, figures):
        for figure, value in figures.items():
            self.values.setdefault((scenario, cell, figure), {}).setdefault(system, []).append(value)

    def median(self, scenario, cell, figure, system):
        """The median over the rounds; None where nothing was measured."""
        values = self.values.get((scenario, cell, figure), {}).get(system)
        return median(values) if values else None

    def json(self):
        return {
            "figures": [
                {"scenario": scenario, "cell": cell, "figure": figure, "system": system, "rounds": values,
                 "median": median(values), "minimum": min(values), "maximum": max(values),
                 "tapline_to_it": _ratio(systems, system)}
                for (scenario, cell, figure), systems in self.values.items() for system, values in systems.items()],
            "disturbed": [{"scenario": scenario, "cell": cell, "round": number, "share": share}
                          for (scenario, cell), rounds in self.disturbances.items() for number, share in rounds.items()],
            "failures": self.failures}


def _ratio(systems, system):
    ours, theirs = systems.get("Tapline"), systems[system]
    return median(ours) / median(theirs) if ours and system != "Tapline" and median(theirs) else None


def measure(scenario, testbeds, rounds, seconds, strangers: Strangers, results: Results):
    """Measures every cell on every testbed in each round: cell by cell, so that what is compared is seconds apart, and
    in another order of the systems each round."""
    if not testbeds:
        return
    for number in range(1, rounds + 1):
        shift = (number - 1) % len(testbeds)
        for cell in CELLS:
            if getattr(cell, "scenario", "") not in ("", scenario.name):
                continue
            _say(f"{scenario.name}: round {number} of {rounds}, {cell.title}")
            start, before = time.monotonic(), strangers.seconds()
            for testbed in testbeds[shift:] + testbeds[:shift]:
                if testbed.system.cells is not None and cell.key not in testbed.system.cells:
                    continue
                try:
                    figures = cell.measure(testbed, seconds)
                except (BenchError, OSError, ValueError, KeyError, subprocess.SubprocessError) as problem:
                    results.failures.append(f"{scenario.name}, {cell.title}, round {number}: {problem}")
                    continue
                results.add(scenario.name, cell.key, testbed.system.key, figures)
            share = min(1, (strangers.seconds() - before) / (time.monotonic() - start) / CORES)
            if share > DISTURBED:
                results.disturbances.setdefault((scenario.name, cell.key), {})[number] = share
    _say("")


def _say(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text[:100]}")
        sys.stderr.flush()
