"""Topologies that are up, and what brings them up and takes them away."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import uuid

# How long a command may take that only asks.
ASKING = 60
# `tapline down` of a topology that is gone.
NO_SUCH_NAME = 5


class TaplineError(Exception):
    """A command of Tapline did not do what it was asked for."""


def program():
    """The path of the program: TAPLINE in the environment, else the one on the PATH."""
    named = os.environ.get("TAPLINE")
    found = shutil.which(named or "tapline")
    if not found:
        raise TaplineError(
            f"the program {named or 'tapline'} is not there; install Tapline, or let the variable TAPLINE name it")
    return found


def run(words, *, input=None, timeout=ASKING, cwd=None):
    """Runs a program in a session of its own and returns how it ended. Whatever interrupts this ends the program, too.

    Ctrl-C at the terminal does not reach the program: only one side decides. Its output goes to files, so that a process that
    it leaves running in a node, and that keeps its output open, is not waited for.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        if input is not None:
            given.write(input.encode())
            given.seek(0)
        process = subprocess.Popen(words, stdin=given, stdout=output, stderr=errors, start_new_session=True, cwd=cwd)
        try:
            process.wait(timeout)
        except BaseException as interruption:
            _end(process)
            if isinstance(interruption, subprocess.TimeoutExpired):
                raise TaplineError(f"it took longer than {timeout} s: {' '.join(map(str, words))}") from None
            raise
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return subprocess.CompletedProcess(words, process.returncode, *texts)


def _end(process):
    """Ends a program that may have something to take away first."""
    process.terminate()
    try:
        process.wait(60)
    except BaseException:
        # Too late, or too impatient: what the program leaves goes with its topology.
        process.kill()
        process.wait()


class Guardian:
    """A process that takes a topology away if this one ends without doing so, in whatever way.

    It reads from a pipe whose other end only this process has.
    """

    SCRIPT = 'read -r word && exit 0; exec "$@" >/dev/null 2>&1'

    def __init__(self, words):
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", self.SCRIPT, "guardian", *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, cwd="/")

    def dismiss(self):
        try:
            self._process.stdin.write(b"done\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()


class Lab:
    """A topology that is up."""

    def __init__(self, file, name):
        self.file = file
        self.name = name
        self._program = program()
        self._guardian = Guardian([self._program, "down", name])
        self._is_up = False
        self._is_over = False

    def __repr__(self):
        return f"<topology {self.name} of {self.file}>"

    def _up(self, settings, timeout):
        __tracebackhide__ = True
        words = [self._program, "up", str(self.file), "-d", "--name", self.name]
        for key, value in settings.items():
            words += ["--set", f"{key}={value}"]
        result = run(words, timeout=timeout)
        if result.returncode != 0:
            raise TaplineError(f"{self.file} did not come up (exit status {result.returncode}):\n{result.stderr.rstrip()}")
        self._is_up = True

    def tapline(self, *words, timeout=ASKING, input=None, check=True):
        """Runs a command of Tapline and returns how it ended."""
        __tracebackhide__ = True
        result = run([self._program, *map(str, words)], timeout=timeout, input=input)
        if check and result.returncode != 0:
            raise TaplineError(
                f"tapline {' '.join(map(str, words))} ended with status {result.returncode}:\n{result.stderr.rstrip()}")
        return result

    def exec(self, node, command, *, check=False, input=None, timeout=ASKING):
        """Runs a command in a node: a text by a shell, a list of words as it is."""
        __tracebackhide__ = True
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
        result = run([self._program, "exec", self.name, node, "--", *words], input=input, timeout=timeout)
        if check and result.returncode != 0:
            raise TaplineError(
                f"in {node}, {command!r} ended with status {result.returncode}:\n{result.stdout}{result.stderr}".rstrip())
        return result

    def eventually(self, node, command, *, within=30, pause=0.05):
        """Repeats a command in a node until it ends with 0, and returns how it ended."""
        __tracebackhide__ = True
        deadline = time.monotonic() + within
        while True:
            result = self.exec(node, command, timeout=max(1, within))
            if result.returncode == 0:
                return result
            if time.monotonic() >= deadline:
                raise TaplineError(
                    f"in {node}, {command!r} did not succeed within {within} s; status {result.returncode}:\n"
                    f"{result.stdout}{result.stderr}".rstrip())
            time.sleep(pause)

    def status(self):
        """What `tapline status NAME --json` prints."""
        return json.loads(self.tapline("status", self.name, "--json").stdout)

    def tables(self):
        """What `tapline tables NAME --json` prints."""
        return json.loads(self.tapline("tables", self.name, "--json").stdout)

    def events(self):
        """The events so far, oldest first."""
        return [json.loads(line) for line in self.tapline("events", self.name, "--json").stdout.splitlines()]

    def logs(self, node):
        """What a node has written."""
        return self.tapline("logs", self.name, node).stdout

    def cp(self, source, destination):
        """Copies a file or a folder, into a node or out of it."""
        self.tapline("cp", self.name, source, destination)

    def down(self):
        """Takes it away. A second call does nothing."""
        if self._is_over:
            return
        interruption = None
        while True:
            try:
                result = run([self._program, "down", self.name], timeout=300)
                break
            except KeyboardInterrupt as again:
                # Impatience must not leave anything behind: it is raised when all is gone.
                interruption = again
        self._is_over = True
        self._guardian.dismiss()
        if interruption:
            raise interruption
        if result.returncode not in (0, NO_SUCH_NAME):
            raise TaplineError(f"{self.name} could not be taken away:\n{result.stderr.rstrip()}")

    def story(self, most=40):
        """What a person wants to know of a failure: the last events, and what was dropped; by title."""
        if self._is_over or not self._is_up:
            return {}
        parts = {}
        try:
            parts[f"events of {self.name}"] = self.tapline(
                "events", self.name, "--text", "--count", most).stdout.rstrip()
            drops = [f"{drop['reason']}: {drop['frames']}" for drop in self.status()["drops"]]
            parts[f"drops of {self.name}"] = "\n".join(drops)
        except (TaplineError, ValueError, KeyError) as error:
            parts[f"events of {self.name}"] = f"they cannot be read: {error}"
        return {title: text for title, text in parts.items() if text}


class Topologies:
    """Brings topologies up, and knows which are to be taken away."""

    def __init__(self):
        self.labs = []

    def up(self, file, *, set=None, name=None, timeout=300):
        """Brings a topology up under a name that no other has, and returns it when all of it is ready.

        file: its path, or its folder; set: values for its variables; name: the beginning of its name.
        """
        __tracebackhide__ = True
        path = pathlib.Path(file)
        stem = name or (path.parent.resolve().name if path.name == "topology.yaml" else path.stem)
        slug = re.sub("[^a-z0-9]+", "-", stem.lower()).strip("-")[:20].strip("-") or "lab"
        if not slug[0].isalpha():
            slug = f"t{slug}"
        lab = Lab(path, f"{slug}-{uuid.uuid4().hex[:8]}")
        self.labs.append(lab)
        lab._up(set or {}, timeout)
        return lab

    def down(self):
        """Takes all of them away, the last first."""
        problems = []
        while self.labs:
            try:
                self.labs.pop().down()
            except TaplineError as error:
                problems.append(str(error))
        if problems:
            raise TaplineError("\n".join(problems))
