"""Judges an API by the document that it gives of itself.

judge PACKAGES SOCKET SEED EXAMPLES TOKEN TENANT     TOKEN -: as the operator, who names the tenant

openapi-spec-validator reads the document; schemathesis makes requests from it, and compares each answer with it, with all of
its checks. Both are in the folder PACKAGES (Scripts/test puts them there). The API listens at a Unix socket; schemathesis
speaks TCP, so this program passes octets on between the two. Of what schemathesis prints, this prints what it found.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

packages, place, seed, examples, token, tenant = sys.argv[1:7]
sys.path.insert(0, packages)


def copy(source, target):
    try:
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        end(source, target)


def end(*sockets):
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def pass_on(near, far):
    """Requests, one after another. Who has no token is the operator on this socket: as a tenant, it gets one that is none."""
    try:
        with near.makefile("rb") as requests:
            while line := requests.readline():
                head = [line]
                while (line := requests.readline()) not in (b"\r\n", b"\n", b""): head.append(line)
                fields = {part.split(b":")[0].strip().lower(): part.split(b":", 1)[-1].strip() for part in head[1:]}
                if token != "-" and b"authorization" not in fields: head.append(b"Authorization: Bearer none\r\n")
                far.sendall(b"".join(head) + b"\r\n" + requests.read(int(fields.get(b"content-length", b"0"))))
        far.shutdown(socket.SHUT_WR)
    except OSError:
        end(near, far)


def forward():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve():
        while True:
            near, _ = listener.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(place)
            threading.Thread(target=pass_on, args=(near, far), daemon=True).start()
            threading.Thread(target=copy, args=(far, near), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


# What a document cannot say, and is answered where the request is well formed: a condition that does not hold (412); a body
# that is too long (413), which nobody reads, so it may be wrong in other ways as well; a text that is no address or no name of
# what there is, or a key that was used for another request (422).
# That requests take long to think of says something of the machine alone.
SETTINGS = """
suppress-health-check = ["all"]
request-timeout = 60

[checks.positive_data_acceptance]
expected-statuses = ["2XX", "403", "404", "409", "412", "413", "422", "429"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5XX"]
"""


def main():
    address = f"http://127.0.0.1:{forward()}"
    document = f"{address}/v1/openapi.json"
    headers = [] if token == "-" else ["--header", f"Authorization: Bearer {token}"]

    import json
    import urllib.request
    from openapi_spec_validator import validate

    fields = {} if token == "-" else {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(document, headers=fields)) as answer:
        validate(json.load(answer))
    print("the document is valid")

    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/schemathesis.toml", "w") as file:
            file.write(SETTINGS)
            # Without it hardly a request of the operator's would name a tenant that there is.
            if token == "-": file.write(f'[parameters]\n"query.tenant" = "{tenant}"\n"path.tenant" = "{tenant}"\n')
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", f"{folder}/schemathesis.toml", "run", document,
             "--checks", "all", "--max-examples", examples, "--seed", seed, "--no-color", *headers],
            env={**os.environ, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160"},
            cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    text = done.stdout + done.stderr
    tested = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", text)
    if done.returncode != 0 or not tested or len(set(tested.groups())) != 1:
        print(text)
        sys.exit(1)
    print(f"schemathesis tested {tested[3]} operations and found nothing")


main()
