"""Drives headless Chromium over its debugging pipe, for the tests of the live page. No package beside Python's own is needed.

usage: browser.py SCENARIO URL [ARGUMENT…]

What a scenario finds goes to standard output as one JSON object. Chromium's files are in a folder of their own, which goes
away with it.
"""

import base64
import http.server
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PATIENCE = 60


class Browser:
    """One Chromium, and one page in it."""

    DOMAINS = ("Page", "Runtime", "Log", "DOM", "Accessibility", "Performance", "Network")

    def __init__(self, javascript=True, scheme="light", width=1400, height=1000, domains=DOMAINS):
        self.folder = tempfile.mkdtemp(prefix="tapline-browser-")
        to_read, self.write_end = os.pipe()
        self.read_end, to_write = os.pipe()
        program = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), "chromium")
        words = [program, "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu",
                 "--user-data-dir=" + self.folder, "--no-first-run", "--disable-background-networking",
                 "--disable-dev-shm-usage", "--disable-component-update", "--hide-scrollbars", "about:blank"]

        def place():
            # Chromium reads commands at 3 and writes answers at 4. The ends may have these very numbers.
            high = (os.dup2(to_read, 103), os.dup2(to_write, 104))
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            words, preexec_fn=place, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, "HOME": self.folder})
        os.close(to_read)
        os.close(to_write)
        self.buffer = b""
        self.number = 0
        self.events = []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in domains:
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        if not javascript:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()
        for _ in range(50):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                break
            time.sleep(0.1)

    def receive(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("Chromium does not answer")
            more = os.read(self.read_end, 1 << 20)
            if not more:
                raise EOFError("Chromium has ended")
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)

    def call(self, method, **arguments):
        self.number += 1
        message = {"id": self.number, "method": method, "params": arguments}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_end, data):]
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(method + ": " + answer["error"]["message"])
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def wait_event(self, name):
        deadline = time.monotonic() + PATIENCE
        while True:
            for event in self.events:
                if event["method"] == name:
                    return event
            answer = self.receive(deadline)
            if "method" in answer:
                self.events.append(answer)

    def open(self, url):
        self.events = []
        self.call("Page.navigate", url=url)
        self.wait_event("Page.loadEventFired")

    def run(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def until(self, expression):
        """Waits until an expression is true, and returns it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                value = self.run(expression)
            except RuntimeError as error:
                # A page that is being left answers nothing; the next one does.
                if "navigated" not in str(error):
                    raise
                value = None
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError("it did not come true: " + expression)
            time.sleep(0.1)

    def key(self, name, code, text=None):
        extra = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, **extra)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)

    def tab(self):
        self.key("Tab", 9)

    def enter(self):
        self.key("Enter", 13, "\r")

    def picture(self, path, whole=True):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def faults(self):
        """What Chromium complains about: errors of scripts and of the content policy."""
        found = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"])[:500])
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
        return found


LIVE = "document.querySelector('#state').dataset.state === 'up' && document.querySelectorAll('a.arrow').length > 0"
CELLS = """(() => {
  const found = {};
  for (const section of document.querySelectorAll('#lists section.table')) {
    const title = section.querySelector('h3').textContent;
    const heads = [...section.querySelectorAll('thead th')].map((cell) => cell.textContent);
    found[title] = [...section.querySelectorAll('tbody tr')].map((row) =>
      Object.fromEntries([...row.children].map((cell, place) => [heads[place], cell.textContent])));
  }
  return found;
})()"""


def look(url, light, dark):
    """Pictures of the page in both palettes, with the details of an arrow."""
    result = {}
    for scheme, path in (("light", light), ("dark", dark)):
        with Browser(scheme=scheme) as browser:
            browser.open(url)
            browser.until(LIVE)
            browser.run("document.querySelector('#arrow-2').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))")
            browser.until("!document.querySelector('#details').hidden && document.querySelector('#details table') !== null")
            time.sleep(1.5)
            browser.picture(path)
            result[scheme] = {
                "ground": browser.run("getComputedStyle(document.body).backgroundColor"), "faults": browser.faults()}
    return result


def numbers(url):
    """The tables of a page that follows, and of one without a script."""
    with Browser() as browser:
        browser.open(url)
        browser.until(LIVE)
        first = browser.run(CELLS)
        result = {"script": browser.until(CELLS), "first": first, "faults": browser.faults()}
    with Browser(javascript=False) as browser:
        browser.open(url)
        document = browser.call("DOM.getDocument")["root"]["nodeId"]
        listed = browser.call("DOM.querySelector", nodeId=document, selector="#lists")["nodeId"]
        result["plain"] = browser.call("DOM.getOuterHTML", nodeId=listed)["outerHTML"]
        body = browser.call("DOM.querySelector", nodeId=document, selector="body")["nodeId"]
        result["hasNoScript"] = "Load again" in browser.call("DOM.getOuterHTML", nodeId=body)["outerHTML"]
    return result


class Flood(http.server.BaseHTTPRequestHandler):
    """The true page, with events of another making: as many as are asked for, as fast as the browser takes them."""
    protocol_version = "HTTP/1.0"
    page = ""
    wanted = 0
    sent = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        if not self.path.startswith("/live"):
            with urllib.request.urlopen(Flood.page + self.path.lstrip("/")) as answer:
                self.send_response(200)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.end_headers()
                self.wfile.write(answer.read())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            while True:
                while Flood.sent < Flood.wanted:
                    Flood.sent += 1
                    line = json.dumps(["2026-01-01T00:00:00.000000Z instance-down fw-a: number %d" % Flood.sent])
                    values = json.dumps({"state.text": "number %d" % Flood.sent, "i0.rp": str(Flood.sent)})
                    self.wfile.write(("id: %d\nevent: happened\ndata: %s\n\nevent: values\ndata: %s\n\n" % (
                        Flood.sent, line, values)).encode())
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass


def memory(url):
    """What the page holds after some events, and after many more."""
    Flood.page = url
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flood)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Browser() as browser:
        browser.open("http://127.0.0.1:%d/" % server.server_address[1])
        result = []
        for count in (2000, 20000):
            Flood.wanted = count
            browser.until("document.querySelector('#happened li') !== null && "
                          "document.querySelector('#happened li').textContent.endsWith('number %d')" % count)
            browser.events = []
            browser.call("HeapProfiler.enable")
            browser.call("HeapProfiler.collectGarbage")
            measured = {entry["name"]: entry["value"] for entry in browser.call("Performance.getMetrics")["metrics"]}
            result.append({
                "listed": browser.run("document.querySelectorAll('#happened li').length"),
                "nodes": browser.run("document.querySelectorAll('*').length"),
                "heap": measured["JSHeapUsedSize"], "listeners": measured["JSEventListeners"]})
        return {"measured": result, "faults": browser.faults()}


def keyboard(url):
    """The page by the keyboard alone: what has the focus, what Enter opens, and where Escape leads."""
    focus = """(() => { const at = document.activeElement, style = getComputedStyle(at);
        return {id: at.id, tag: at.localName, name: at.getAttribute('aria-label') || at.textContent.trim().slice(0, 40),
            visible: at.matches(':focus-visible')}; })()"""
    with Browser() as browser:
        browser.open(url)
        browser.until(LIVE)
        browser.tab()
        result = {"first": browser.run(focus), "order": []}
        for _ in range(200):
            browser.tab()
            place = browser.run(focus)
            if place["tag"] == "body":
                break
            result["order"].append(place)
            if place["id"] == "trace-form" or place["tag"] == "select":
                break
        browser.run("document.querySelector('#arrow-0').focus()")
        browser.enter()
        browser.until("!document.querySelector('#details').hidden && document.activeElement.id === 'details'")
        result["opened"] = browser.run("document.querySelector('#details h2').textContent")
        browser.key("Escape", 27)
        result["closed"] = browser.run("document.querySelector('#details').hidden")
        result["back"] = browser.run("document.activeElement.id")
        # Values change, and the focus stays.
        time.sleep(2.5)
        result["later"] = browser.run("document.activeElement.id")
        browser.run("document.querySelector('#node-0').focus()")
        browser.enter()
        browser.until("document.querySelector('#details pre.log') !== null")
        result["log"] = browser.run("document.querySelector('#details pre.log').getAttribute('aria-label')")
        result["faults"] = browser.faults()
        return result


def names(url):
    """The accessibility tree: every part that can be used, with its role and name."""
    with Browser() as browser:
        browser.open(url)
        browser.until(LIVE)
        browser.run("document.querySelector('#arrow-0').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))")
        browser.until("document.querySelector('#details form') !== null")
        found = []
        for node in browser.call("Accessibility.getFullAXTree")["nodes"]:
            role = node.get("role", {}).get("value")
            if node.get("ignored") or role not in (
                    "link", "button", "textbox", "spinbutton", "combobox", "img", "image", "table", "region", "log",
                    "status", "navigation", "heading"):
                continue
            found.append({"role": role, "name": node.get("name", {}).get("value", "")})
        return {"found": found}


def contrast(url):
    """The least contrast of texts against what is behind them, in both palettes (WCAG 2.1)."""
    measure = r"""(() => {
      const parts = (text) => (text.match(/[\d.]+/g) || []).map(Number);
      const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => { v /= 255;
        return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
      const behind = (at) => { for (; at; at = at.parentElement) {
        const box = at.closest && at.closest('a.box');
        if (box) return parts(getComputedStyle(box.querySelector('rect')).fill);
        const color = parts(getComputedStyle(at).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color; } return [255, 255, 255]; };
      let least = {ratio: 99};
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        const at = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || at.closest('script, noscript, option, .skip, [hidden]')) continue;
        const style = getComputedStyle(at), color = parts(at.closest('svg') ? style.fill : style.color);
        const [a, b] = [light(color), light(behind(at))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
        if (ratio < least.ratio) least = {ratio, text: walk.currentNode.data.trim().slice(0, 40)};
      }
      return least;
    })()"""
    result = {}
    for scheme in ("light", "dark"):
        with Browser(scheme=scheme) as browser:
            browser.open(url)
            browser.until(LIVE)
            browser.run("document.querySelector('#arrow-0').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))")
            browser.until("document.querySelector('#details form') !== null")
            result[scheme] = browser.run(measure)
    return result


def capture(url, folder):
    """A click on an arrow, and on its button: the file that comes."""
    with Browser() as browser:
        session, browser.session = browser.session, None
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder, eventsEnabled=True)
        browser.session = session
        browser.open(url)
        browser.until(LIVE)
        browser.run("[...document.querySelectorAll('a.arrow')].find((arrow) => arrow.getAttribute('aria-label').startsWith("
                    "'shop request, firewall to web')).dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))")
        browser.until("document.querySelector('#details form') !== null")
        browser.run("document.querySelector('#details [name=packets]').value = '4'")
        browser.run("document.querySelector('#details form button').click()")
        deadline = time.monotonic() + PATIENCE
        while True:
            files = [name for name in os.listdir(folder) if name.endswith(".pcapng")]
            if files:
                break
            if time.monotonic() > deadline:
                raise TimeoutError("no capture came")
            time.sleep(0.2)
        live = browser.run(LIVE)
        return {"file": os.path.join(folder, files[0]), "live": live, "faults": browser.faults()}


def trace(url, path=None):
    """A trace from the form: what is listed, and which arrows it draws."""
    with Browser() as browser:
        browser.open(url)
        browser.until(LIVE)
        browser.run("document.querySelector('#trace-form [name=from]').value = 'alice'")
        browser.run("document.querySelector('#trace-form [name=count]').value = '2'")
        browser.run("document.querySelector('#trace-form button').click()")
        browser.until("document.querySelectorAll('#trail circle').length >= 2")
        hot = browser.run("[...document.querySelectorAll('.arrow.hot')].map((arrow) => arrow.getAttribute('aria-label'))")
        if path:
            browser.picture(path, whole=False)
        listed = browser.until(
            "document.querySelector('#traces').textContent.includes('The trace has ended') "
            "&& document.querySelector('#traces').textContent")
        browser.run("document.querySelector('#trace-form [name=filter]').value = 'port port'")
        browser.run("document.querySelector('#trace-form button').click()")
        wrong = browser.until("document.querySelector('#traces').textContent.includes('does not compile') && "
                              "document.querySelector('#traces').textContent")
        return {"hot": hot, "listed": listed, "wrong": wrong, "faults": browser.faults()}


def outlives(url, tapline, name, file):
    """A page that stays open while the topology goes away and comes again."""
    click = "document.querySelector('#arrow-0').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))"
    with Browser() as browser:
        browser.open(url)
        browser.until(LIVE)
        subprocess.run([tapline, "down", name], check=True, stdout=subprocess.DEVNULL)
        result = {"gone": browser.until(
            "document.querySelector('#state').dataset.state === 'down' && document.querySelector('#state').textContent")}
        subprocess.run([tapline, "up", file, "-d"], check=True, stdout=subprocess.DEVNULL)
        browser.until(LIVE)
        # The picture leads to the new topology, and what happened in both is listed.
        browser.run(click)
        browser.until("document.querySelector('#details table') !== null")
        result["opened"] = browser.run("document.querySelector('#details h2').textContent")
        result["started"] = browser.until(
            "((count) => count >= 2 && count)([...document.querySelectorAll('#happened li')]"
            ".filter((line) => line.textContent.includes('engine-started')).length)")
        result["faults"] = browser.faults()
        return result


def draw(url, path=None):
    """How long a page takes from the click on its address to the drawn picture, in a browser that does nothing else for it."""
    with Browser(domains=("Page", "Runtime", "Performance")) as browser:
        browser.call("Page.addScriptToEvaluateOnNewDocument", source="addEventListener('DOMContentLoaded', () => "
                     "requestAnimationFrame(() => requestAnimationFrame(() => { window.drawn = performance.now(); })))")
        browser.open(url)
        browser.until(LIVE)
        paint = browser.run(
            "performance.getEntriesByType('navigation').map((entry) => ({interactive: entry.domInteractive, "
            "complete: entry.domComplete, octets: entry.decodedBodySize, answered: entry.responseEnd}))[0]")
        paint["drawn"] = browser.until("window.drawn")
        paint["painted"] = browser.until("(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime")
        paint["used"] = {entry["name"]: entry["value"] for entry in browser.call("Performance.getMetrics")["metrics"]
                         if entry["name"] in ("LayoutDuration", "RecalcStyleDuration", "ScriptDuration", "TaskDuration")}
        paint["boxes"] = browser.run("document.querySelectorAll('a.box').length")
        paint["arrows"] = browser.run("document.querySelectorAll('a.arrow').length")
        paint["sized"] = browser.run("[...document.querySelectorAll('a.box rect')].every((box) => box.getBoundingClientRect().width > 0)")
        if path:
            browser.picture(path, whole=False)
        return paint


SCENARIOS = {
    "look": look, "numbers": numbers, "memory": memory, "keyboard": keyboard, "names": names,
    "contrast": contrast, "capture": capture, "trace": trace, "draw": draw, "outlives": outlives,
}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in SCENARIOS:
        sys.exit(__doc__)
    print(json.dumps(SCENARIOS[sys.argv[1]](*sys.argv[2:])))
