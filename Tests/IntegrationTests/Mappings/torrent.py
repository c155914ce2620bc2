"""Listens as libtorrent does, and prints each service port that it was given, until both protocols have one."""

import sys
import time

import libtorrent

session = libtorrent.session({
    "listen_interfaces": f"{sys.argv[1]}:6881", "enable_natpmp": True, "enable_upnp": False, "enable_dht": False,
    "enable_lsd": False, "alert_mask": libtorrent.alert.category_t.all_categories})
given = set()
end = time.monotonic() + 60
while len(given) < 2 and time.monotonic() < end:
    for alert in session.pop_alerts():
        if alert.what() == "portmap": given.add(alert.message().split(": ")[-1])
        if alert.what() == "portmap_error": print(alert.message())
    time.sleep(0.05)
print(libtorrent.__version__, *sorted(given), sep="\n", flush=True)
# As long as its input is open, it keeps what it has. At its end it gives all back.
sys.stdin.read()
