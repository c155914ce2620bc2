"""Scripts/bench page: how long the live page takes from the click on its address to the drawn picture, in headless Chromium."""
import argparse
import json
import os
import re
import subprocess
import sys
import time
from statistics import median

from lab import BenchError, Lab, run

BROWSER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Tests/PortalTests/browser.py")
TOPOLOGY = """name: {name}
interfaces:
  customers:  {{ address: 10.0.0.1/16 }}
  inspection: {{ address: 198.18.2.1/24 }}
  inspected:  {{ address: 198.18.3.1/24 }}
  servers:    {{ address: 198.18.4.1/24 }}
customers:
{customers}
applications:
  ids: {{ type: intrusion-detection, passive: true, attach: inspection }}
  firewall: {{ type: firewall, attach: {{ in: inspection, out: inspected }} }}
  web: {{ type: web-server, attach: servers }}
services:
  shop: {{ address: 203.0.113.80, from: customers, distribute: [ids, firewall], sequence: [firewall, web] }}
"""
PATIENCE = 30


class Page:
    """The live page of a topology with so many nodes."""

    def __init__(self, lab, tapline, nodes):
        self.nodes = nodes
        self.name = f"bench{os.getpid()}n{nodes}"
        path = os.path.join(lab.folder, f"{nodes}.yaml")
        with open(path, "w") as file:
            file.write(TOPOLOGY.format(
                name=self.name,
                customers="\n".join(f"  c{number}: {{ interface: customers }}" for number in range(nodes - 3))))
        self.tapline = tapline
        run(tapline, "up", path, "-d")
        lab.on_close(lambda: subprocess.run([tapline, "down", self.name], check=False, capture_output=True))
        server = subprocess.Popen([tapline, "serve", self.name, "--listen", "127.0.0.1:0"], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  start_new_session=True)
        lab.on_close(lambda: (server.terminate(), server.wait()))
        for line in server.stdout:
            found = re.search(r"http://\S+:\d+/", line)
            if found:
                self.url = found[0]
                return
        raise BenchError(f"the page of {nodes} nodes did not start")

    def draw(self):
        """One drawing in a browser of its own."""
        found = json.loads(run(sys.executable, "-B", BROWSER, "draw", self.url).splitlines()[-1])
        # The engine has no box of its own among the nodes.
        if found["boxes"] < self.nodes:
            raise BenchError(f"{found['boxes']} of {self.nodes} nodes are drawn")
        return found


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tapline", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=200)
    wanted = parser.parse_args()
    lab = Lab()
    try:
        pages = [Page(lab, wanted.tapline, nodes) for nodes in (5, wanted.nodes)]
        time.sleep(2)
        found = {page.nodes: [] for page in pages}
        for _ in range(wanted.rounds):
            for page in pages:
                found[page.nodes].append(page.draw())
    except (BenchError, OSError, subprocess.SubprocessError) as problem:
        print(f"page: {problem}", file=sys.stderr)
        return 2
    finally:
        lab.close()
    print(f"{'':32}{'answered':>10}{'painted':>10}{'drawn':>10}{'slowest':>10}   ms, medians of {wanted.rounds} rounds")
    for nodes, rounds in found.items():
        cells = [median(one[key] for one in rounds) for key in ("answered", "painted", "drawn")]
        cells.append(max(one["drawn"] for one in rounds))
        print(f"{f'page of {nodes} nodes':32}" + "".join(f"{cell:>10.0f}" for cell in cells))
    slow = median(one["drawn"] for one in found[wanted.nodes])
    print(f"aim: {wanted.nodes} nodes are drawn in under a second: {slow:.0f} ms, {'met' if slow < 1000 else 'missed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
