"""What happens in memory alone, as the program `measure` prints it: packet processing, looking up, publishing a table."""
import json
import subprocess
from statistics import median

from aims import Verdict
from lab import BenchError, run

# The parts of the program, and the subject that each belongs to.
PARTS = {"processing": "processing", "lookup": "lookup", "publish": "lookup", "trace": "trace"}
HEADER_AIM = 10
PROCESSING_AIM, FLAT_AIM, OCTETS_AIM, BUILD_AIM, PAUSE_AIM = 40, 1.3, 100, 2, 1
PLAIN = "one copy"      # how the kinds begin that the aim is about


class Memory:
    """The lines of JSON of each part, once for each round; of the tables, which take long to build, in one."""

    def __init__(self, program, subjects, rounds):
        self.parts, self.failures = {}, []
        for part, subject in PARTS.items():
            if subject not in subjects:
                continue
            try:
                self.parts[part] = [self._run(program, part) for _ in range(rounds if part == "processing" else 1)]
            except (BenchError, OSError, ValueError, subprocess.SubprocessError) as problem:
                self.failures.append(f"{part}: {problem}")

    @staticmethod
    def _run(program, part):
        lines = run(program, part, patience=300).splitlines()
        return [_flat(json.loads(line)) for line in lines if line.startswith("{")]

    def processing(self):
        """From each kind to its nanoseconds per frame, one of each round."""
        kinds = {}
        for lines in self.parts.get("processing", []):
            for line in lines:
                kinds.setdefault(line["kind"], []).append(line["nanoseconds"])
        return kinds

    def tables(self):
        """The lines of all parts as tables."""
        if kinds := self.processing():
            yield from ("", "packet processing alone: parsing, looking up, rewriting, in memory; nanoseconds per frame",
                        "=" * 100, f"{'':<68} {'median':>10} {'minimum':>10} {'maximum':>10}")
            for kind, values in kinds.items():
                yield f"{kind:<68} {median(values):>10.1f} {min(values):>10.1f} {max(values):>10.1f}"
        for part, name, title in (("lookup", None, "looking up, in memory"),
                                  ("publish", "publication", "publishing a table while frames are forwarded"),
                                  ("publish", "health_change", "one instance goes down or comes back"),
                                  ("trace", None, "following packets through a chain of three hops, in memory; processor time of "
                                   "the reader a packet, and KiB that it grew by")):
            for lines in self.parts.get(part, []):
                if shown := [line for line in lines if name is None or name in line]:
                    yield from ("", title, "=" * 100)
                    yield from _columns(shown)

    def verdicts(self):
        """The aims that have to do with these parts."""
        plain = {kind: median(values) for kind, values in self.processing().items() if kind.startswith(PLAIN)}
        if plain:
            kind = max(plain, key=plain.get)
            yield Verdict(f"processing alone, ns per frame: {kind}", f"≤ {PROCESSING_AIM}",
                          f"{plain[kind]:.1f}", plain[kind] <= PROCESSING_AIM)
        yield from self._circuits()
        cases = [line for lines in self.parts.get("lookup", []) for line in lines if "entries" in line]
        costs = {}
        for line in cases:
            if "nanoseconds" in line:
                costs.setdefault((line.get("key"), line.get("case")), []).append(line["nanoseconds"])
        for (key, case), values in costs.items():
            ratio = max(values) / min(values)
            yield Verdict(f"lookup, {key}, {case}: dearest to cheapest", f"≤ {FLAT_AIM}", f"{ratio:.2f}",
                          ratio <= FLAT_AIM)
        for name, title, aim in (("octets_per_entry", "octets per entry, most", OCTETS_AIM),
                                 ("build_seconds", "building a table, longest, in seconds", BUILD_AIM)):
            # Of the largest table: small ones are mostly what every table has.
            values = [line[name] for line in cases
                      if line.get(name) is not None and line["entries"] == max(line["entries"] for line in cases)]
            if values:
                yield Verdict(title, f"< {aim}", f"{max(values):.2f}", max(values) < aim)
        longest = {line["publication"]: line["longest_turn_microseconds_median"] / 1e3
                   for lines in self.parts.get("publish", []) for line in lines if "publication" in line}
        if "table" in longest and "none" in longest:
            # What the machine itself holds a worker up for, with nothing published, is not the table's.
            pause = max(0, longest["table"] - longest["none"])
            yield Verdict("publishing a million entries: pause beyond the machine's own, median, ms",
                          f"≤ {PAUSE_AIM}", f"{pause:.2f}", pause <= PAUSE_AIM)

    def _circuits(self):
        """What each header of an encapsulation costs beyond plain frames of the same table."""
        kinds, headers = self.processing(), {line["kind"]: line["headers"] for lines in self.parts.get("processing", [])
                                             for line in lines if "headers" in line}
        for way in ("circuit in: ", "circuit out: "):
            plain = kinds.get(way + "plain")
            costs = {kind: (median(kinds[kind]) - median(plain)) / count
                     for kind, count in headers.items() if plain and count and kind.startswith(way)}
            if costs:
                kind = max(costs, key=costs.get)
                yield Verdict(f"a header of a circuit beyond a plain frame, ns: {kind}", f"≤ {HEADER_AIM}",
                              f"{costs[kind]:.1f}", costs[kind] <= HEADER_AIM)


def _flat(line):
    """A line of JSON without objects in it: their names are joined to those of what they hold."""
    flat = {}
    for name, value in line.items():
        inner = value if isinstance(value, dict) else {"": value}
        flat.update((f"{name}_{part}".rstrip("_"), one) for part, one in inner.items())
    return flat


def _columns(lines):
    """Lines of JSON as a table, with a column for each name that any of them has."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [[name.replace("_", " ") for name in names]]
    rows += [[_text(line.get(name, "–")) for name in names] for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    texts = [all(isinstance(line.get(name), str) for line in lines) for name in names]
    for row in rows:
        yield "  ".join(value.ljust(width) if text else value.rjust(width)
                        for value, width, text in zip(row, widths, texts)).rstrip()


def _text(value):
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
