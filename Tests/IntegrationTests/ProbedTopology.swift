/// A chain whose firewall is a relay that loses, repeats, swaps or holds packets, as a file in its folder says, and whose
/// server answers what it got.
enum ProbedTopology {
    static let chain = """
        name: probed
        interfaces:
          customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: 198.18.2.1/24 }
          inspected:  { address: 198.18.3.1/24 }
          servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers, address: [192.0.2.10, "2001:db8:2::10"] }
        applications:
          ids: { passive: true, attach: inspection }
          firewall:
            attach: { in: inspection, out: inspected }
            offload: off
            setup: sysctl -qw net.ipv4.ip_forward=0
            run: exec python3 relay.py
            ready: { run: test -e "$TAPLINE_DIR/ready" }
          web: { attach: servers, offload: off, run: exec python3 echo.py, ready: { run: test -e "$TAPLINE_DIR/ready" } }
        services:
          echo: { address: 203.0.113.80, ports: [udp/7, udp/9, icmp], distribute: [ids, firewall], sequence: [firewall, web] }
          six:  { address: "2001:db8:cb::80", ports: [udp/7, tcp/80], sequence: web }

        """

    /// Sends every tenth datagram to port 7 as the file `mode` says; everything else as it came.
    static let relay = """
        import os, socket, time
        folder = os.environ["TAPLINE_DIR"]
        socks = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        open(folder + "/ready", "w").close()
        def send(packet):
            try: out.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
            except OSError: pass
        def mode():
            try: return open(folder + "/mode").read().strip()
            except OSError: return ""
        count, held = 0, None
        while True:
            packet, address = socks.recvfrom(65536)
            if address[2] != 0 or packet[16:18] == bytes([198, 18]): continue
            if packet[9] != 17 or packet[22:24] != bytes([0, 7]):
                send(packet)
                continue
            count += 1
            said = mode()
            if said == "hold": time.sleep(0.02)
            if count % 10 == 0 and said == "lose": continue
            if count % 10 == 0 and said == "swap":
                held = packet
                continue
            send(packet)
            if count % 10 == 0 and said == "repeat": send(packet)
            if count % 10 == 0 and said == "late":
                # The answer with the same content is here by then, and waits.
                time.sleep(0.002)
                send(packet)
            if held:
                send(held)
                held = None
        """

    static let server = """
        import os, socket
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind(("::", 7))
        open(os.environ["TAPLINE_DIR"] + "/ready", "w").close()
        while True:
            data, address = s.recvfrom(2000)
            try: s.sendto(data, address)
            except OSError: pass
        """

    static let files = ["relay.py": relay, "echo.py": server]
}
