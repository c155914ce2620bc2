"""Drives the customers' page in headless Chromium, by way of a port that leads to the operator's socket.

usage: browse-services.py SCENARIO SOCKET ARGUMENT…

What a scenario finds goes to standard output as one JSON object.
"""

import json
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "PortalTests"))
from browser import Browser  # noqa: E402

# Chromium's pipes have the numbers 3 and 4, which must be open before it starts.
while os.open(os.devnull, os.O_RDONLY) < 4:
    pass


def pump(one, other):
    try:
        while octets := one.recv(65536):
            other.sendall(octets)
    except OSError:
        pass
    for end in (one, other):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def forward(path):
    """A port of this machine that leads to a socket in the file system."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            near, _ = server.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(path)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    return "http://127.0.0.1:%d" % server.getsockname()[1]


PLACE = "location.pathname"


def submit(browser, selector, lands):
    """Presses a button, and waits for the next page; what is there then."""
    browser.run("window.stays = true; document.querySelector(%s).click()" % json.dumps(selector))
    return browser.until("window.stays === undefined && document.readyState === 'complete' && (%s)" % lands)


def fill(browser, **fields):
    for name, value in fields.items():
        # The page of before may be there for a moment more, or the next one be built.
        browser.until("document.readyState === 'complete' && document.querySelector('[name=%s]') !== null" % name)
        browser.run("document.querySelector('[name=%s]').value = %s" % (name, json.dumps(value)))


def login(browser, url, token):
    browser.open(url + "/")
    browser.until("document.querySelector('[name=token]') !== null")
    fill(browser, token=token)
    return submit(browser, "main form button", "document.body.textContent.trim()")


WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
CONTRAST = r"""(() => {
  const parts = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (at) => { for (; at; at = at.parentElement) {
    const color = parts(getComputedStyle(at).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color; } return [255, 255, 255]; };
  let least = {ratio: 99};
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const at = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || at.closest('script, noscript, option, .skip, [hidden]')) continue;
    const [a, b] = [light(parts(getComputedStyle(at).color)), light(behind(at))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least.ratio) least = {ratio, text: walk.currentNode.data.trim().slice(0, 40)};
  }
  return least;
})()"""


def work(path, token, folder, script):
    """A customer's morning: a wrong token, the right one, a service, a mistake, a change, a removal, and the way back."""
    url = forward(path)
    result = {}
    with Browser(javascript=script == "script") as browser:
        # With scripts switched off in the page, the driver still may ask.
        result["wrong"] = login(browser, url, token[:-1] + ("0" if token[-1] != "0" else "1"))
        fill(browser, token=token)
        result["empty"] = submit(browser, "main form button", "document.querySelector('h1').textContent")
        browser.events = []
        browser.open(url + "/new-service")
        fill(browser, name="shop", addresses="203.0.113.97\n203.0.113.4", ports="icmp", sequence="firewall, web")
        submit(browser, ".fields .buttons button", "document.querySelector('#problem') !== null")
        result["mistake"] = browser.run(
            "({title: document.title, of: document.querySelector('#f-addresses').getAttribute('aria-describedby'), "
            "invalid: document.querySelector('#f-addresses').getAttribute('aria-invalid'), "
            "said: document.querySelector('#e-addresses').textContent, kept: document.querySelector('#f-sequence').value, lines: document.querySelector('#f-addresses').value, "
            "focus: document.activeElement?.id})")
        browser.picture(os.path.join(folder, "mistake-%s.png" % script))
        fill(browser, addresses="203.0.113.97")
        result["checked"] = submit(browser, ".fields button[value=check]", "document.querySelector('#trial').textContent")
        result["made"] = submit(browser, ".fields .buttons button", "document.querySelector('.notice').textContent")
        result["place"] = browser.run(PLACE)
        fill(browser, addresses="203.0.113.98")
        result["changed"] = submit(browser, ".fields .buttons button", "document.querySelector('.notice').textContent")
        browser.run("document.querySelector('details').open = true")
        result["removed"] = submit(browser, "button.danger", "document.querySelector('.notice').textContent")
        browser.open(url + "/history")
        result["history"] = browser.run("[...document.querySelectorAll('.history li')].map((at) => at.querySelector('p').textContent)")
        browser.run("[...document.querySelectorAll('button')].find((at) => at.textContent === 'Restore version 1').id = 'back'")
        result["restored"] = submit(browser, "#back", "document.querySelector('.notice').textContent")
        result["cards"] = browser.run("[...document.querySelectorAll('.card h2')].map((at) => at.textContent)")
        result["faults"] = [fault for fault in browser.faults() if "401" not in fault and "403" not in fault and "422" not in fault]
        result["out"] = submit(browser, "header button", PLACE)
        browser.open(url + "/history")
        result["after"] = browser.run(PLACE)
    return result


def numbers(path, token, service, *command):
    """The numbers of an open page before and after a command, without another load."""
    url = forward(path)
    with Browser() as browser:
        login(browser, url, token)
        browser.open(url + "/services/" + service)
        cell = "document.querySelector('[data-live=\"requests.p\"]').textContent"
        first = browser.run(cell)
        browser.run("window.stays = true")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        later = browser.until("%s === '7' && window.stays && %s" % (cell, cell))
        entries = browser.run("Object.fromEntries([...document.querySelectorAll('tbody tr')].map((row) => "
                              "[row.children[0].textContent, row.children[1].textContent]))")
        return {"first": first, "later": later, "entries": entries, "faults": browser.faults()}


def look(path, token, folder):
    """Every page at the width of a phone and of a desk, in both palettes."""
    url = forward(path)
    result = []
    for scheme in ("light", "dark"):
        for width in (360, 1280):
            with Browser(scheme=scheme, width=width, height=780) as browser:
                browser.open(url + "/login")
                found = {"login": (browser.run(WIDE), browser.run(CONTRAST))}
                login(browser, url, token)
                pages = browser.run("[...document.querySelectorAll('nav a, .card h2 a, main section a')].map((at) => at.pathname)")
                for page in dict.fromkeys(["/"] + pages + ["/access/firewall"]):
                    browser.open(url + page)
                    browser.run("for (const at of document.querySelectorAll('details')) at.open = true")
                    browser.picture(os.path.join(folder, "%s-%d%s.png" % (scheme, width, page.replace("/", "-"))))
                    found[page] = (browser.run(WIDE), browser.run(CONTRAST))
                found["faults"] = browser.faults()
                result.append(found)
    return {"found": result}


def keyboard(path, token):
    """Logs in, makes a service and reads the names of what can be used, by the keyboard alone."""
    url = forward(path)
    with Browser() as browser:
        browser.open(url + "/")
        # The field for the token has the focus.
        browser.until("document.activeElement?.name === 'token'")
        browser.call("Input.insertText", text=token)
        browser.enter()
        browser.until("location.pathname === '/' && document.querySelector('nav') !== null")
        browser.tab()
        result = {"first": browser.run("document.activeElement?.textContent")}
        browser.open(url + "/new-service")
        for field, text in (("name", "shop"), ("addresses", "203.0.113.97"), ("ports", "icmp"), ("sequence", "")):
            for _ in range(40):
                if browser.run("document.activeElement?.name") == field:
                    break
                browser.tab()
            if text:
                browser.call("Input.insertText", text=text)
        # Buttons behind the field add the names of applications.
        for name in ("firewall", "web"):
            for _ in range(40):
                if browser.run("document.activeElement?.textContent ?? ''").endswith(" " + name):
                    break
                browser.tab()
            browser.key(" ", 32, " ")
        result["chain"] = browser.run("document.querySelector('[name=sequence]').value")
        browser.run("document.querySelector('[name=from]').focus()")
        browser.enter()
        result["made"] = browser.until("document.querySelector('.notice') && document.querySelector('.notice').textContent")
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        result["nameless"] = [
            node["role"]["value"] for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in (
                "link", "button", "textbox", "combobox", "region", "navigation", "heading", "table")
            and not node.get("name", {}).get("value")]
        return result


SCENARIOS = {"work": work, "numbers": numbers, "look": look, "keyboard": keyboard}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in SCENARIOS:
        sys.exit(__doc__)
    print(json.dumps(SCENARIOS[sys.argv[1]](*sys.argv[2:])))
