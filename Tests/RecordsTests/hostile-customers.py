"""Two hostile customers of an API, and one that works meanwhile.

hostile-customers SOCKET PID ALICE EVE BOB REVOKED     the tokens of the hostile ones, of the other one, and one revoked

Each line of a table is a request word for word and what has to become of it: a status, or "closed" without an answer. In
no answer to alice or eve may be the word "secret", which all names of others contain. PID is the process that serves: its
memory stays bounded. Ends with status 1 if something does not hold.
"""

import json
import os
import resource
import socket
import sys
import threading
import time

place, pid, alice, eve, bob, revoked = sys.argv[1:7]
faults = []
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)


def fault(text):
    faults.append(text)
    print(f"does not hold: {text[:1000]}", flush=True)


def connect():
    while True:
        end = socket.socket(socket.AF_UNIX)
        end.settimeout(60)
        try:
            end.connect(place)
            return end
        except BlockingIOError:
            # More than a moment's backlog is refused by the kernel.
            end.close()
            time.sleep(0.005)


def talk(octets):
    """All that is answered to these octets before the other end closes."""
    answer = b""
    with connect() as end:
        try: end.sendall(octets)
        except OSError: pass
        try:
            while part := end.recv(65536): answer += part
        except OSError: pass
    return answer


def request(method, target, token=alice, body=None, fields=(), close=True):
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *fields]
    if close: lines.append("Connection: close")
    if token: lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def statuses(answer):
    """The statuses of all answers in these octets: with a smuggled request there would be two."""
    found = []
    while answer:
        head, _, answer = answer.partition(b"\r\n\r\n")
        words = head.split(b"\r\n")[0].split(b" ")
        if not words[0].startswith(b"HTTP/1.1") or len(words) < 2: return found + ["?"]
        found.append(int(words[1]))
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        answer = answer[int(length[0].split(b":")[1]):] if length else b""
    return found


def expect(what, octets, *wanted, hides=True):
    answer = talk(octets)
    found = statuses(answer) or ["closed"]
    if len(found) != 1 or found[0] not in wanted: fault(f"{what}: {found}, and should be one of {wanted}: {answer[:600]!r}")
    # What somebody sent by themselves may come back.
    if hides and b"secret" in answer and b"secret" not in octets: fault(f"{what}: {answer!r}")
    return answer


def service(*addresses, **more):
    return {"addresses": list(addresses), "ports": ["icmp"], "sequence": ["firewall", "web"], **more}


# MARK: another tenant, who works meanwhile

worked, stop = [0], threading.Event()


def work():
    number = 0
    while not stop.is_set():
        number += 1
        address = f"203.0.113.{104 + number % 8}"
        octets = request("PUT", "/v1/services/secret-own", bob, {
            "addresses": [address], "ports": ["icmp"], "sequence": ["firewall", "web"]})
        answer = talk(octets)
        if statuses(answer) != [200]: fault(f"bob, who works: {answer!r}")
        worked[0] += 1
        time.sleep(0.02)


def meanwhile(count):
    """Returns when bob has got so many answers more."""
    wanted, end = worked[0] + count, time.monotonic() + 120
    while worked[0] < wanted:
        if time.monotonic() > end: return fault("bob, who works, gets no answers")
        time.sleep(0.01)


def memory():
    """The most that the process has held, in KiB."""
    with open(f"/proc/{pid}/status") as file:
        return int([line for line in file if line.startswith("VmHWM")][0].split()[1])


# MARK: what is another's

def guess():
    for method, target, body, wanted in [
        ("GET", "/v1/services/secret-own", None, 404), ("DELETE", "/v1/services/secret-own", None, 404),
        ("GET", "/v1/services?tenant=bob", None, 404), ("GET", "/v1/services/secret-own?tenant=bob", None, 404),
        ("PUT", "/v1/services/secret-own?tenant=bob", service("203.0.113.97"), 404),
        ("GET", "/v1/services/bob%2Fsecret-own", None, 404), ("GET", "/v1/services/..%2Fbob%2Fsecret-own", None, 404),
        ("GET", "/v1/services?tenant=alice&tenant=bob", None, 400), ("GET", "/v1/services?%74enant=bob", None, 404),
        ("GET", "/v1/services?after=bob/secret-a", None, 200), ("GET", "/v1/services?limit=501", None, 400),
        ("GET", "/v1/services?limit=-1", None, 400), ("GET", "/v1/audit?tenant=bob", None, 404),
        ("GET", "/v1/audit?after=999999999999999999", None, 200), ("GET", "/v1/audit?after=9999999999999999999", None, 400),
        ("GET", "/v1/catalogue?tenant=bob", None, 404), ("GET", "/v1/tenants", None, 404),
        ("POST", "/v1/tenants/alice/tokens", {}, 404), ("POST", "/v1/tenants/bob/tokens", {}, 404),
        ("GET", "/v1/tenants/bob/tokens", None, 404),
        ("DELETE", f"/v1/tenants/bob/tokens/{bob.split('_')[1]}", None, 404),
        ("DELETE", f"/v1/tenants/alice/tokens/{alice.split('_')[1]}", None, 404),
        ("POST", "/v1/batch", {"remove": ["secret-own"]}, 404), ("POST", "/v1/batch", {"remove": ["bob/secret-own"]}, 404),
        ("POST", "/v1/restore", {"version": 10 ** 9}, 404), ("GET", "/v1/../v1/tenants", None, 404),
        ("GET", "//v1/tenants", None, 404), ("GET", "http://x/v1/tenants", None, 404), ("GET", "HTTPS://x:1/v1/services", None, 200), ("GET", "http:/v1/services", None, 400),
        ("GET", "http://x", None, 303), ("GET", "http:///v1/services/secret-own", None, 404), ("GET", "ftp://x/v1/services", None, 400), ("OPTIONS", "*", None, 400),
        ("CONNECT", "x:1", None, 400), ("TRACE", "/v1/services", None, 405), ("get", "/v1/services", None, 400),
    ]:
        expect(f"{method} {target}", request(method, target, body=body), wanted)


def prefixes():
    for number, address in enumerate([
        "203.0.113.104", "203.0.113.80", "203.0.113.96/28", "203.0.113.88/28", "203.0.113.97/0", "0.0.0.0/0", "::/0",
        "::ffff:203.0.113.104", "::ffff:203.0.113.97", "203.0.113.097", "0xcb.0.113.97", "203.0.113.97/29",
        "203.0.113.97 ", "203.0.113.97\n", "203.0.113.97%eth0", "\uff12\uff10\uff13.0.113.97", "3405804897", "192.0.2.2",
        "192.0.2.1", "198.18.4.2", "127.0.0.1", "255.255.255.255", "224.0.0.1", "203.0.113.97/33", "203.0.113.97/-1",
    ]):
        expect(f"the prefix {address!r}", request("PUT", f"/v1/services/p{number}", body=service(address)), 403, 422)
    for body in [
        service("203.0.113.97", sequence=["firewall", "secret-cache"]), service("203.0.113.97", sequence=["web"]),
        service("203.0.113.97", distribute=["secret-cache"], sequence=["firewall", "web"]),
        service("203.0.113.97", **{"from": ["secret-customer"]}),
        service("203.0.113.97", sequence=["secret-customer", "firewall", "web"]),
    ]:
        expect(f"the service {body}", request("PUT", "/v1/services/p", body=body), 403)


def replays():
    expect("a token that was revoked", request("GET", "/v1/services", revoked), 401)
    head, number, secret = alice.split("_", 2)
    other = bob.split("_")[1]
    for token in [f"{head}_{other}_{secret}", f"{head}_{number}_{secret[:-1]}", f"{head}_{number}_", alice.upper(), "", "x",
                  f"{head}_{number}_{secret}0", "_" * 4000, f"{head}_{number}_{eve.split('_', 2)[2]}", "operator"]:
        expect(f"the token {token[:20]}", request("GET", "/v1/services", token or " "), 401)
    for field in ["Authorization: Basic eDp5", "Authorization: Bearer", f"Authorization: {alice}"]:
        expect(field[:20], request("GET", "/v1/services", None, fields=[field]), 401)
    # Twice with one key is once; another tenant's key is another key; another request with it is none.
    key = ["Idempotency-Key: the-same"]
    body = service("203.0.113.98")
    first = expect("first", request("PUT", "/v1/services/once", body=body, fields=key), 200)
    again = expect("again", request("PUT", "/v1/services/once", body=body, fields=key), 200)
    if first.split(b"\r\n\r\n")[1] != again.split(b"\r\n\r\n")[1] or b"Idempotency-Replayed" not in again:
        fault(f"the same request was done twice: {again!r}")
    expect("another", request("PUT", "/v1/services/once", body=service("203.0.113.99"), fields=key), 422)
    expect("eve's", request("PUT", "/v1/services/once", eve, body, fields=key), 403)
    expect("no key", request("DELETE", "/v1/services/once", fields=["Idempotency-Key: " + "x" * 129]), 400)
    expect("two keys", request("DELETE", "/v1/services/once", fields=["Idempotency-Key: a", "Idempotency-Key: b"]), 400)
    # Where it came from is not what it says.
    expect("another source", request("PUT", "/v1/services/once", body=body, fields=["X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.1"]), 200)
    if b"203.0.113.1\"" in talk(request("GET", "/v1/audit?limit=4")): fault("a field says where a request came from")
    expect("an old ETag", request("DELETE", "/v1/services/once", fields=['If-Match: "0"']), 412)
    expect("its end", request("DELETE", "/v1/services/once"), 200)


# MARK: HTTP

def protocol():
    put = b"PUT /v1/services/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n" % alice.encode()
    get = b"GET /v1/services HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % alice.encode()
    inner = b"GET /v1/tenants HTTP/1.1\r\nHost: x\r\n\r\n"
    big = 300 << 10
    token = b"Authorization: Bearer %s\r\n" % alice.encode()
    plain = b"GET /v1/services HTTP/1.1\r\n" + token
    old = b"GET /v1/services HTTP/1.0\r\n" + token
    for what, octets, *wanted in [
        # Host (RFC 9112, section 3.2): the request behind is never answered.
        ("no Host", plain + b"\r\n" + inner, 400), ("two Hosts", plain + b"Host: x\r\nHost: x\r\n\r\n" + inner, 400),
        ("two Hosts of old", old + b"Host: x\r\nhost: y\r\n\r\n" + inner, 400),
        ("a Host with a path", plain + b"Host: x/v1\r\n\r\n" + inner, 400), ("a Host with a blank", plain + b"Host: x y\r\n\r\n" + inner, 400),
        ("a list of Hosts", plain + b"Host: x, y\r\n\r\n" + inner, 400), ("a Host with a user", plain + b"Host: a@x\r\n\r\n" + inner, 400),
        ("a Host with another port", plain + b"Host: x:8o\r\n\r\n" + inner, 400), ("a Host without its end", plain + b"Host: [::1\r\n\r\n" + inner, 400),
        ("an empty Host", plain + b"Host:\r\nConnection: close\r\n\r\n", 200), ("a port", plain + b"Host: [::1]:443\r\nConnection: close\r\n\r\n", 200),
        ("no Host of old", old + b"\r\n", 200), ("no Host and no token", b"GET /v1/openapi.json HTTP/1.1\r\n\r\n" + inner, 400),
        ("no Host and a body", plain.replace(b"GET", b"PUT") + b"Content-Length: 2\r\n\r\n{}" + inner, 400),
        ("chunks of old", old + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        # Smuggling: the request inside is never answered.
        ("two lengths that differ", put + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   " + inner, 400),
        ("a list of lengths", put + b"Content-Length: 5, 5\r\n\r\n{}   " + inner, 400),
        ("a length and chunks", put + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("chunks and a length", put + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner, 400),
        ("another encoding", put + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner, 400, 501),
        ("chunked and something", put + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner, 400),
        ("chunked twice", put + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner, 400),
        ("a blank before the colon", put + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("a signed length", put + b"Content-Length: +4\r\n\r\n{}  " + inner, 400),
        ("a length in base 16", put + b"Content-Length: 0x4\r\n\r\n{}  " + inner, 400),
        ("a length that is too large", put + b"Content-Length: 99999999999999999999\r\n\r\n" + inner, 400),
        ("a chunk that is too large", put + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n" + inner, 400),
        ("a chunk without its end", put + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n" + inner, 400),
        ("a chunk's sign", put + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n" + inner, 400),
        ("a chunk's size and a NUL", put + b"Transfer-Encoding: chunked\r\n\r\n2\0\r\n{}\r\n0\r\n\r\n" + inner, 400),
        ("an extension of chunks without end", put + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * big, 400, 413),
        ("trailers without end", put + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 60000, 400, 413),
        ("an encoding behind another", put + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("an encoding in quotes", put + b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + inner, 400),
        ("an encoding behind a control", put + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("an encoding in a folded field", put + b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}" + inner, 400),
        ("a length twice", put + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + inner, 400),
        ("a length with a blank", put + b"Content-Length: 1 2\r\n\r\n{}          " + inner, 400),
        ("an empty length", put + b"Content-Length:\r\n\r\n" + inner, 400),
        ("a chunk that ends in a line feed", put + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n" + inner, 400),
        ("an extension that ends in a line feed", put + b"Transfer-Encoding: chunked\r\n\r\n2;\n{}\r\n0\r\n\r\n" + inner, 400),
        ("lines that end in a line feed", get.replace(b"\r\n", b"\n") + b"\n" + inner, 400),
        ("a length with another name", put + b"Content_Length: 999\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 422),
        # What no other program may make of a request: its method, its path, its rights and its protocol are those of its first lines.
        ("another method", get + b"X-HTTP-Method-Override: DELETE\r\nConnection: close\r\n\r\n", 200),
        ("another path", get + b"X-Original-URL: /v1/tenants\r\nX-Rewrite-URL: /v1/tenants\r\nConnection: close\r\n\r\n", 200),
        ("rights in a trailer", put.replace(alice.encode(), b"x") + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n%s\r\n" % token, 401),
        ("HTTP/2 by an upgrade", get + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", 200),
        ("a web socket", get + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", 200),
        ("no UTF-8 in a token", get.replace(alice.encode(), b"\xff\xfe") + b"Connection: close\r\n\r\n", 401),
        # Large ones.
        ("a large body", put + b"Content-Length: %d\r\n\r\n" % big + b" " * big, 413),
        ("a large body in chunks", put + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n%s\r\n" % (b" " * 4096) * 80, 413),
        ("a long field", get + b"X: " + b"y" * big + b"\r\n\r\n", 400, 413),
        ("many fields", get + b"A: b\r\n" * 40000 + b"\r\n", 400, 413),
        ("a long target", b"GET /v1/services?" + b"a=b&" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400, 413),
        ("a long method", b"A" * big, 400, 413),
        # Tricks.
        ("two tokens", get + b"Authorization: Bearer %s\r\n\r\n" % eve.encode(), 400),
        ("two types", put + b"Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 400),
        ("two conditions", put + b"If-Match: *\r\nIf-Match: *\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 400, 422),
        ("a folded field", get + b"X: a\r\n b\r\n\r\n", 400),
        ("a NUL in a field", get + b"X: a\0b\r\n\r\n", 400),
        ("a NUL in the target", b"GET /v1/serv\0ices HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a line's end alone in a field", get + b"X: a\rb\r\n\r\n", 400),
        ("no name", get + b": b\r\n\r\n", 400),
        ("a name with a blank", get + b"A b: c\r\n\r\n", 400),
        ("HTTP/9.9", b"GET /v1/services HTTP/9.9\r\n\r\n", 400, 505),
        ("HTTP/0.9", b"GET /v1/services\r\n\r\n", 400),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("TLS", bytes.fromhex("16030100c8010000c40303") + os.urandom(200), 400),
        ("zeros", b"\0" * 4096, 400),
        ("another type", put.replace(b"application/json", b"text/xml") + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}", 415),
        ("a percent sign", b"GET /v1/services/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        ("no UTF-8", b"GET /v1/services/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
    ]:
        expect(what, octets, *wanted)
    # Requests behind a request: nothing is answered before its turn, and never by another's rights.
    answer = talk((get + b"\r\n") * 50)
    if set(statuses(answer)) - {200} or len(statuses(answer)) > 50: fault(f"pipelining: {answer[:300]!r}")


def bombs():
    def put(text):
        return request("PUT", "/v1/services/j", body=text)

    many = 60000
    for what, text, *wanted in [
        ("deep lists", b"[" * many + b"]" * many, 400), ("deep objects", b'{"a":' * 40000 + b"1" + b"}" * 40000, 400),
        ("an open list", b"[" * 200000, 400), ("many lists", b"[" + b"[]," * many + b"[]]", 422),
        ("many members", b"{" + b",".join(b'"k%d":1' % n for n in range(15000)) + b"}", 422),
        ("a long number", b'{"addresses": [' + b"9" * 200000 + b'], "sequence": ["web"]}', 422),
        ("a large number", b'{"addresses": [1e999999999], "sequence": ["web"]}', 422),
        ("a long exponent", b'{"addresses": [1e' + b"9" * 100000 + b'], "sequence": ["web"]}', 422),
        ("a number that is none", b'{"addresses": [NaN]}', 400), ("a zero before", b'{"addresses": [007]}', 400),
        ("a key twice", b'{"addresses": ["203.0.113.97"], "addresses": ["203.0.113.104"], "sequence": ["web"]}', 422),
        ("half a surrogate", b'{"addresses": ["\\ud800"], "sequence": ["firewall", "web"]}', 400, 403, 422),
        ("a surrogate as a key", b'{"\\udfff": 1}', 400, 422), ("no UTF-8", b'{"addresses": ["\xff\xfe"]}', 400),
        ("half a character", b'{"addresses": ["\xe2\x82"], "sequence": ["web"]}', 400),
        ("a longer form", b'{"addresses": ["\xc0\xaf"]}', 400), ("a NUL", b'{"addresses": ["203.0.113.97\\u0000"], "sequence": ["firewall", "web"]}', 403, 422),
        ("a NUL outside", b'{}\0', 400), ("a mark", b'\xef\xbb\xbf{}', 400, 422), ("UTF-16", '{"a": 1}'.encode("utf-16"), 400),
        ("two documents", b"{}{}", 400), ("a comma", b'{"addresses": [],}', 400), ("a comment", b"/* */{}", 400), ("nothing", b"", 400),
        ("many addresses", json.dumps(service(*["203.0.113.97"] * 10000)).encode(), 422),
        ("a long text", json.dumps(service("x" * 200000)).encode(), 422),
        ("a long name in it", json.dumps(service("203.0.113.97", sequence=["firewall", "x" * 257])).encode(), 422),
        ("controls", json.dumps(service("\x1b[2J\x07")).encode(), 403, 422),
    ]:
        answer = expect(what, put(text), *wanted)
        if len(answer) > 64 << 10: fault(f"{what}: an answer of {len(answer)} octets")
        if b"\x1b" in answer: fault(f"{what}: {answer!r}")
    for version in ["1e308", "-1", "1.5", "99999999999999999999", '"1"', "null", "[1]", "true"]:
        expect(f"version {version}", request("POST", "/v1/restore", body=b'{"version": %s}' % version.encode()), 404, 422)
    expect("a large batch", request("POST", "/v1/batch", body={"put": [{"name": f"n{n}", **service("203.0.113.97")} for n in range(65)]}), 422)
    for name in ["a" * 64, "%20", "-a", "a%0Ab", "%E2%80%AE", ".", "..", "a%00"]:
        expect(f"the name {name}", request("PUT", f"/v1/services/{name}", body=service("203.0.113.97")), 400, 404, 422)


# MARK: many connections, and slow ones

def slow(ends):
    """Requests that come an octet at a time: each is cut off."""
    whole = request("PUT", "/v1/services/slow", body=b" " * 2000)
    start = time.monotonic()
    while ends and time.monotonic() - start < 90:
        for end in list(ends):
            try:
                end.sendall(whole[int((time.monotonic() - start) * 10)::][:1])
            except OSError:
                ends.remove(end)
        time.sleep(0.1)
    if ends: fault(f"{len(ends)} slow requests are not cut off")


def many():
    """10,000 connections, hundreds at once, each with half a request."""
    held = []
    for number in range(10000):
        end = connect()
        try: end.sendall(b"PUT /v1/services/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        except OSError: pass
        held.append(end)
        if len(held) > 1000: held.pop(0).close()
        if number % 2500 == 2499: meanwhile(3)
    for end in held: end.close()


def flood():
    """Both give instructions as fast as they can: each waits for itself alone."""
    seen = set()

    def give(token):
        for _ in range(100):
            seen.update(statuses(talk(request("PUT", "/v1/services/f?dry-run", token, service("203.0.113.97")))))

    threads = [threading.Thread(target=give, args=(token,)) for token in (alice, eve) * 8]
    for thread in threads: thread.start()
    meanwhile(5)
    for thread in threads: thread.join()
    if seen - {200, 403, 429}: fault(f"a flood is answered with {seen}")


worker = threading.Thread(target=work)
worker.start()
meanwhile(3)
before = memory()
slowly = [connect() for _ in range(40)]
sluggish = threading.Thread(target=slow, args=(slowly,))
sluggish.start()
for part in (guess, prefixes, replays, protocol, bombs, flood, many):
    part()
    meanwhile(2)
    print(f"{part.__name__}: {memory()} KiB", flush=True)
sluggish.join()
meanwhile(2)
stop.set()
worker.join()
grown = memory() - before
if grown > 128 << 10: fault(f"the process took {grown} KiB more")
print(f"bob had {worked[0]} answers")
sys.exit(1 if faults else 0)
