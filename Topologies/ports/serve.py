"""Answers over TCP and UDP with who asked and where it was asked: serve.py PROTOCOL PORT[-PORT] …"""
import selectors
import socket
import sys

ready = selectors.DefaultSelector()
for protocol, ports in zip(sys.argv[1::2], sys.argv[2::2]):
    first, _, last = ports.partition("-")
    for port in range(int(first), int(last or first) + 1):
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        listener = socket.socket(socket.AF_INET6, kind)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::", port))
        if protocol == "tcp":
            listener.listen(64)
        ready.register(listener, selectors.EVENT_READ, (protocol, port))


def words(peer, protocol, port):
    return f"hello {peer[0].removeprefix('::ffff:')}, this is {protocol}/{port}\n".encode()


while True:
    for key, _ in ready.select():
        protocol, port = key.data
        if protocol == "tcp":
            connection, peer = key.fileobj.accept()
            answer = words(peer, protocol, port)
            with connection:
                connection.settimeout(20)
                try:
                    if connection.recv(4096).startswith(b"GET"):
                        answer = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
                    connection.sendall(answer)
                except OSError:
                    pass
        else:
            # The answer comes from the address that was asked.
            _, control, _, peer = key.fileobj.recvmsg(65535, 256)
            own = [c for c in control if c[:2] == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)]
            key.fileobj.sendmsg([words(peer, protocol, port)], own, 0, peer)
