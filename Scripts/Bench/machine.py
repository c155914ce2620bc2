"""The machine that figures are from."""
import glob
import os
import platform
import time

from lab import BenchError, run


def describe():
    """What it is, for the head of the tables and for the JSON."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "system": _field("/etc/os-release", "PRETTY_NAME", "="),
        "mitigations": {os.path.basename(path): _text(path)
                        for path in sorted(glob.glob("/sys/devices/system/cpu/vulnerabilities/*"))},
        "command_line": _text("/proc/cmdline"),
        "congestion_control": _text("/proc/sys/net/ipv4/tcp_congestion_control"),
        "frequency_governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "commit": _commit(),
        "peers": {name: _version(*words) for name, words in (
            ("gcc", ("gcc", "--version")), ("iperf3", ("iperf3", "--version")), ("iproute2", ("ip", "-V")),
            ("Open vSwitch", ("ovs-vswitchd", "--version")), ("VDE", ("vde_switch", "--version")))}}


def lines(machine):
    """The description as a few lines of text."""
    held = [name for name, state in machine["mitigations"].items() if state.startswith("Mitigation")]
    return [f"machine      {machine['processor']}, {machine['cores']} cores, {machine['memory']}",
            f"system       {machine['system']}, Linux {machine['kernel']}",
            f"mitigations  {', '.join(held) or 'none'}",
            f"TCP          {machine['congestion_control']} by default; measured with cubic",
            f"Tapline      {machine['commit']}, {machine['time']}"]


def _text(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _field(path, name, separator=":"):
    for line in _text(path).splitlines():
        key, _, value = line.partition(separator)
        if key.strip() == name:
            return value.strip().strip('"')
    return ""


def _version(*words):
    try:
        return run(*words).splitlines()[0]
    except (BenchError, OSError, IndexError):
        return ""


def _commit():
    folder = os.path.dirname(os.path.abspath(__file__))
    try:
        # Whoever owns the checkout: this only reads.
        return run("git", "-c", "safe.directory=*", "-C", folder, "describe", "--always", "--dirty").strip()
    except (BenchError, OSError):
        return ""
