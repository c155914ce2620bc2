#!/usr/bin/env python3
"""Prints each failed test of test logs whole, with the command that repeats it.

failures.py LOG…    status 1 where a log tells a failure, or ends in mid-test; 0 otherwise
"""

import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parents[2] / "Tests"
# Lines that the testing library begins; all else is what a test printed, or goes on from the line before.
ISSUE = re.compile(r'^✘ Test (?:case passing .*? to )?(?P<name>"(?:[^"\\]|\\.)*"|[^" ]\S*\)) (?:.* )?recorded an issue')
STARTED = re.compile(r'^◇ (?P<kind>Test|Suite) (?!run )(?P<name>"(?:[^"\\]|\\.)*"|\S+) started\.')
ENDED = re.compile(r'^[✔✘➜] (?P<kind>Test|Suite) (?P<name>"(?:[^"\\]|\\.)*"|[^" ]\S*) .*(passed|failed|skipped)')
SEED = re.compile(r"^seed (?P<place>\S+) (?P<seed>\d+)$")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def index():
    """Every test of the sources: (its name in logs, its suite's names in logs, what repeats it, its file)."""
    found = []
    for path in sorted(TESTS.rglob("*.swift")):
        suite, shown, attribute = None, None, ""
        for line in path.read_text(encoding="utf-8").splitlines():
            text = line.strip()
            if re.match(r"@(Suite|Test)\b", text):
                attribute = text
            elif attribute:
                attribute += " " + text
            declared = re.match(r"(?:@Suite.* )?(?:final )?(?:struct|class|extension|enum) (\w+)", text)
            if declared and (line == text or attribute.startswith("@Suite")):
                display = re.match(r'@Suite\(\s*"((?:[^"\\]|\\.)*)"', attribute)
                suite, shown = declared[1], display[1] if display else (shown if suite == declared[1] else None)
                attribute = ""
            elif attribute and (function := re.search(r"\bfunc (\w+)", text)):
                display = re.match(r'@Test\(\s*"((?:[^"\\]|\\.)*)"', attribute)
                name = f'"{display[1]}"' if display else function[1]
                found.append((name, {suite, f'"{shown}"'}, f"{suite}/{function[1]}", path.stem))
                attribute = ""
    return found


class Failure:
    def __init__(self, name, suite, seeds):
        self.name, self.suite, self.seeds, self.lines = name, suite, dict(seeds), []

    def repeat(self, tests):
        plain = self.name if self.name.startswith('"') else self.name.split("(")[0]
        known = [test for test in tests if test[0] == plain]
        known = [test for test in known if self.suite in test[1]] or known
        if len({test[2] for test in known}) != 1:
            suites = {test[2].split("/")[0] for test in tests if self.suite in test[1]}
            return "sudo Scripts/test " + " ".join(suites)
        place = known[0][3]
        seed = next((seed for at, seed in self.seeds.items() if at.split(".")[-1] == place), None)
        return f"sudo {f'TAPLINE_SEED={seed} ' if seed else ''}Scripts/test {known[0][2]}"


def read(path):
    """The failures of a log in order, the tests that began and did not end, and whether the run came to its end."""
    failures, open_tests, seeds, suite, current, ended = {}, [], {}, None, None, False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        line = ANSI.sub("", line)
        if current and (line.startswith("↳") or line.startswith("  ")):
            current.lines.append(line)
            continue
        current = None
        if seed := SEED.match(line):
            seeds[seed["place"]] = seed["seed"]
        elif issue := ISSUE.match(line):
            name = issue["name"]
            current = failures.setdefault((suite, name), Failure(name, suite, seeds))
            current.seeds.update(seeds)
            current.lines.append(line)
        elif started := STARTED.match(line):
            if started["kind"] == "Suite": suite = started["name"]
            else:
                seeds = {}
                open_tests.append(started["name"])
        elif end := ENDED.match(line):
            if end["kind"] == "Test" and end["name"] in open_tests: open_tests.remove(end["name"])
        ended = ended or line[2:].startswith("Test run with ")
    return list(failures.values()), open_tests, ended


def main():
    tests, bad = index(), False
    for path in map(pathlib.Path, sys.argv[1:]):
        failures, open_tests, ended = read(path)
        for failure in failures:
            print("\n".join(["", *failure.lines, f"repeat it: {failure.repeat(tests)}"]))
        if not ended:
            print(f"\n✘ the run ended in mid-test: {', '.join(open_tests) or 'before the first one'}")
            print("\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]))
        if failures or not ended:
            print(f"\nthe whole log: {path}")
            bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
