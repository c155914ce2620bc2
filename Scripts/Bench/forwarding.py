"""Scripts/bench's forwarding benchmark: measures Tapline and its peers, prints tables, writes JSON and plots.

usage: forwarding.py --tapline PATH [--earlier PATH --earlier-name COMMIT [--alone]] [--measure PATH] [--rounds N] [--seconds S]
                     [--output DIR] SUBJECT…
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile

import aims
import machine
import pairs
import plot
import report
from cards import BridgedCard, MacvtapCard
from kernel import Bridges, Routing, VethPair
from lab import BenchError, Lab, run
from memory import Memory
from openvswitch import OpenVSwitch
from processor import Strangers
from relay import CoalescingRelay, Relay
from rounds import Results, measure
from scenarios import SUBJECTS
from testbed import Testbed
from tapline import CuttingTapline, EarlierTapline, LowLatencyTapline, UncoalescedTapline, Tapline
from vde import VDE
from watched import CapturedTapline, DumpedTapline, SampledTapline, TracedTapline

SYSTEMS = {
    "hop": (Tapline, UncoalescedTapline, Relay, CoalescingRelay, VethPair, Bridges, Routing, OpenVSwitch, VDE),
    "chain": (Tapline, UncoalescedTapline, LowLatencyTapline, Relay, CoalescingRelay, Bridges, Routing, OpenVSwitch),
    "distribute": (Tapline, CoalescingRelay, Bridges, OpenVSwitch),
    "trace": (Tapline, SampledTapline, TracedTapline, CapturedTapline, DumpedTapline),
    "attach": (Relay, BridgedCard, MacvtapCard),
    "tunnel": (Tapline, CuttingTapline, Bridges, Routing)}


def arguments():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tapline", required=True)
    parser.add_argument("--earlier")
    parser.add_argument("--earlier-name", default="earlier")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--output")
    parser.add_argument("subjects", nargs="+")
    return parser.parse_args()


def compile_programs(folder):
    here = os.path.dirname(os.path.abspath(__file__))
    for name in ("traffic", "relay"):
        run("gcc", "-O2", "-o", os.path.join(folder, name), os.path.join(here, f"{name}.c"))


def measure_scenario(scenario, systems, wanted, results):
    """Builds every system of a scenario, measures them in turns, and takes them away."""
    lab = Lab()
    try:
        compile_programs(lab.folder)
        testbeds, roots = [], [os.getpid()]
        for kind in systems:
            system = kind(lab, scenario)
            try:
                system.up()
                testbeds.append(Testbed(lab, system))
            except (BenchError, OSError, subprocess.SubprocessError) as problem:
                results.failures.append(f"{scenario.name}: {system} could not be built: {problem}")
                continue
            roots += system.roots()
        measure(scenario, testbeds, wanted.rounds, wanted.seconds, Strangers(roots), results)
    finally:
        lab.close()


def main():
    wanted = arguments()
    Tapline.command = wanted.tapline
    systems = dict(SYSTEMS)
    if wanted.earlier:
        EarlierTapline.command = wanted.earlier
        EarlierTapline.key = f"Tapline at {wanted.earlier_name[:24]}"
        systems = {subject: (kinds[0], EarlierTapline, *(() if wanted.alone else kinds[1:]))
                   for subject, kinds in SYSTEMS.items()}
    output = wanted.output or tempfile.mkdtemp(prefix="tapline-bench.")
    os.makedirs(output, exist_ok=True)
    text = []

    def tell(lines):
        for line in lines:
            text.append(line)
            print(line, flush=True)

    described = machine.describe()
    results = Results()
    tell(machine.lines(described))
    tell([f"rounds       {wanted.rounds}, each figure over {wanted.seconds} s (TCP 1 s) once a round, systems in turns"])
    for subject in (name for name in SUBJECTS if name in wanted.subjects):
        for scenario in SUBJECTS[subject]:
            measure_scenario(scenario, systems[subject], wanted, results)
            tell(report.tables(scenario, results))
            plot.write(output, scenario, results)
    memory = Memory(wanted.measure, wanted.subjects, wanted.rounds)
    tell(memory.tables())
    for lines in memory.parts.get("lookup", []):
        plot.write_lookup(output, lines)
    results.failures += memory.failures
    judged = [*aims.verdicts(results), *memory.verdicts()]
    if wanted.earlier:
        tell(pairs.table(results, EarlierTapline.key))
    if not wanted.alone:
        tell(report.verdict_table(judged))
    if results.failures:
        tell(["", "What failed:", *(f"  {failure}" for failure in results.failures)])
    with open(os.path.join(output, "results.json"), "w") as file:
        json.dump({"machine": described, "rounds": wanted.rounds, "seconds": wanted.seconds, **results.json(),
                   "memory": memory.parts, "aims": [vars(verdict) for verdict in judged]}, file, indent=1)
    with open(os.path.join(output, "tables.txt"), "w") as file:
        file.write("\n".join(text) + "\n")
    print(f"\ntables, JSON and plots are in {output}")
    return 2 if results.failures else 0


def _interrupted(number, _):
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    sys.exit(main())
