"""What a run of the benchmark makes on the machine, and takes away again whatever ends it."""
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x20000


class BenchError(Exception):
    """What could not be done, in one sentence."""


def run(*words, given=None, environment=None, patience=60):
    """Runs a command to its end and returns what it printed; BenchError with its words where it fails."""
    words = [str(word) for word in words]
    try:
        done = subprocess.run(words, input=given, capture_output=True, text=True, env=environment, timeout=patience)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(words[:6])}: not done within {patience} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise BenchError(f"{' '.join(words[:6])}: exit status {done.returncode}: {said}")
    return done.stdout


def inside(namespace, *words):
    """The words that run a command in a network namespace given by its path."""
    return ["nsenter", f"--net={namespace}", *(str(word) for word in words)]


class Lab:
    """Namespaces with a random tag, processes known by their ids, and a folder. `close` takes all of them away."""

    def __init__(self):
        self.tag = "bench" + secrets.token_hex(3)
        self.folder = tempfile.mkdtemp(prefix="tapline-bench-work.")
        self._names = []
        self._processes = []
        self._undoings = []

    def namespace(self, name):
        """Makes a namespace of its own, its loopback up and IPv6 off, and returns its path."""
        name = f"{self.tag}-{name}"
        self._names.append(name)
        run("ip", "netns", "add", name)
        path = f"/run/netns/{name}"
        self.configure(path, "link set lo up")
        self.sysctl(path, "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1",
                    "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                    "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0")
        return path

    def configure(self, namespace, *lines):
        """Runs lines of `ip` in a namespace."""
        run("ip", "-n", os.path.basename(namespace), "-batch", "-", given="\n".join(lines) + "\n")

    def sysctl(self, namespace, *settings):
        run(*inside(namespace, "sysctl", "-qw", *settings))

    def start(self, *words, ready=None, environment=None, open_input=False):
        """Starts a process that lives until the lab is closed or it is ended with `end`; it does not get the terminal's
        Ctrl-C, so that things end in order. Where `ready` is given, waits for a line of output that begins with it. Its
        input is at its end, or with `open_input` never comes to one."""
        log = os.path.join(self.folder, f"log.{len(self._processes)}")
        with open(log, "wb") as output:
            process = subprocess.Popen([str(word) for word in words], stdout=output, stderr=subprocess.STDOUT,
                                       stdin=subprocess.PIPE if open_input else subprocess.DEVNULL,
                                       start_new_session=True, env=environment)
        self._processes.append(process)
        if ready is not None:
            def text():
                with open(log, errors="replace") as output:
                    return output.read()
            self.wait(lambda: any(line.startswith(ready) for line in text().splitlines()),
                      lambda: f"{words[0]} did not begin: {text()[-1000:]}", process)
        return process

    def wait(self, condition, complaint, process=None, patience=10):
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end or (process is not None and process.poll() is not None):
                raise BenchError(complaint())
            time.sleep(0.01)

    def on_close(self, action):
        """Has `action` called when the lab is closed, before processes are ended; the last given comes first."""
        self._undoings.append(action)

    def end(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self):
        """Takes everything away. Further signals wait until that is done."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for undo in reversed(self._undoings):
            try:
                undo()
            except (BenchError, OSError, subprocess.SubprocessError) as problem:
                print(f"while clearing up: {problem}", flush=True)
        for process in reversed(self._processes):
            self.end(process)
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
