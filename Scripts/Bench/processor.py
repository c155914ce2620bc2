"""Who had the processor: the forwarding processes, and others who disturbed the measurement."""
import os

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CORES = os.cpu_count()
KERNEL_THREAD = 0x00200000  # PF_KTHREAD


def nanoseconds_of(pids):
    """The processor time of all threads of some processes since each began, in nanoseconds."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    total += int(file.read().split()[0])
            except FileNotFoundError:
                pass
    return total


def resident_of(pids):
    """The memory that some processes have, in octets."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm") as file:
            total += int(file.read().split()[1]) * PAGE
    return total


class Strangers:
    """Counts the processor time of processes that are none of the bench's, their ended children's included, and what
    the hypervisor took (steal). Own are the descendants of `roots`."""

    def __init__(self, roots):
        self.roots = set(roots)

    def seconds(self):
        """Processor seconds so far; only differences mean anything."""
        parents, times, kernel = {}, {}, set()
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat") as file:
                    words = file.read().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            pid = int(entry)
            parents[pid] = int(words[1])
            times[pid] = sum(int(word) for word in words[11:15])
            if int(words[6]) & KERNEL_THREAD:
                kernel.add(pid)
        strange = sum(time for pid, time in times.items() if pid not in kernel and not self._own(pid, parents))
        with open("/proc/stat") as file:
            steal = int(file.readline().split()[8])
        return (strange + steal) / TICK

    def _own(self, pid, parents):
        while pid:
            if pid in self.roots:
                return True
            pid = parents.get(pid, 0)
        return False
