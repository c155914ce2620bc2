"""Asks over UDP: ask.py who|refused|mtu ADDRESS PORT. The kernel only believes ICMP errors that quote the port that was asked."""
import socket
import sys

what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
asker = socket.socket(family, socket.SOCK_DGRAM)
asker.settimeout(20)
asker.connect((address, port))
if what == "who":
    asker.send(b"who")
    print(asker.recv(100).decode())
elif what == "refused":
    asker.send(b"anybody there?")
    try:
        print("answered", asker.recv(100))
    except ConnectionRefusedError:
        print("refused")
else:
    # Never fragment: IP_MTU_DISCOVER and IPV6_MTU_DISCOVER are `do`. Then ask the kernel what it has learnt.
    level, discover, mtu = (socket.IPPROTO_IPV6, 23, 24) if family == socket.AF_INET6 else (socket.IPPROTO_IP, 10, 14)
    asker.setsockopt(level, discover, 2)
    for _ in range(2):
        try:
            asker.send(bytes(1_430))
            asker.recv(100)
        except OSError as error:
            print(type(error).__name__, error.errno)
    print("mtu", asker.getsockopt(level, mtu))
