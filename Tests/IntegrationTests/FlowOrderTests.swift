import Foundation
import Seeds
import Testing

/// Each datagram of many flows arrives once, and each flow's in their order, through namespaces that pass them on.
@Suite(.serialized) struct FlowOrderTests {
    static func topology(_ engine: String) -> String {
        """
        name: order
        engine: { \(engine) }
        interfaces:
          outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          middle:  { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          behind:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          inside:  { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: outside, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
        applications:
          firewall: { attach: { in: middle, out: behind } }
          sink: { attach: inside, run: exec python3 -u sink.py, ready: { tcp: 80 } }
        services:
          numbers: { address: [203.0.113.80, "2001:db8:cb::80"], sequence: [firewall, sink] }
        """
    }

    /// Notes each flow's numbers; asked `how many?`, it answers how many came, how many of them twice, how many behind a
    /// later one.
    static let sink = """
        import selectors, socket, struct
        selector, last, seen, twice, late = selectors.DefaultSelector(), {}, set(), 0, 0
        def take(notes):
            global twice, late
            while True:
                try: data, peer = notes.recvfrom(64)
                except BlockingIOError: return
                if len(data) < 18:
                    notes.sendto(b'%d %d %d' % (len(seen), twice, late), peer)
                    continue
                number, flow = struct.unpack('>I', data[:4])[0], peer[:2]
                twice += (flow, number) in seen
                late += number < last.get(flow, -1)
                seen.add((flow, number))
                last[flow] = max(number, last.get(flow, -1))
        for family, address in ((socket.AF_INET, '203.0.113.80'), (socket.AF_INET6, '2001:db8:cb::80')):
            notes = socket.socket(family, socket.SOCK_DGRAM)
            notes.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
            notes.bind((address, 7))
            notes.setblocking(False)
            selector.register(notes, selectors.EVENT_READ, take)
        listener = socket.create_server(('', 80))
        while True:
            for entry, _ in selector.select(): entry.data(entry.fileobj)
        """

    /// Sends from 64 sockets, a datagram of each in turn or several, and goes on after 256 when the server has them.
    static let source = """
        import random, socket, struct, sys, time
        random.seed(int(sys.argv[1]))
        total = 0
        for address in ('203.0.113.80', '2001:db8:cb::80'):
            family = socket.AF_INET6 if ':' in address else socket.AF_INET
            flows = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(64)]
            question = socket.socket(family, socket.SOCK_DGRAM)
            for flow in flows + [question]: flow.connect((address, 7))
            question.settimeout(20)
            numbers = [0] * 64
            for round in range(81):
                # At first none: a kernel that has yet to find its neighbour lets packets overtake one another.
                width, sent = random.choice([1, 1, 2, 4, 16]), 0 if round else 256
                while sent < 256:
                    for index, flow in enumerate(flows):
                        for _ in range(width if sent < 256 else 0):
                            flow.send(struct.pack('>I', numbers[index]) + bytes(14))
                            numbers[index] += 1
                            sent += 1
                            total += 1
                for _ in range(2000):
                    question.send(b'how many?')
                    answer = question.recv(64).decode()
                    if int(answer.split()[0]) >= total: break
                    time.sleep(0.01)
                else:
                    break
        print(total, '=', answer)
        """

    @Test(arguments: ["coalescing: on", "coalescing: off", "workers: 2", "io: write"])
    func everyFlowArrivesInItsOrder(engine: String) throws {
        let seed = Seed.drawn(in: 1...1_000_000)
        try Lab.with(Self.topology(engine), files: ["sink.py": Self.sink, "source.py": Self.source]) { lab in
            let sent = try lab.exec("alice", "python3 source.py \(seed)", timeout: 120)
            let total = 2 * 80 * 256
            #expect(
                sent.output == "\(total) = \(total) 0 0\n", "seed \(seed): sent = came, twice, late: \(sent.output)")
        }
    }

    /// Engines are replaced as fast as they can be, and neither a datagram nor the order of a flow is lost.
    @Test(arguments: ["engine: { coalescing: on }", "engines: { count: 2 }", "engine: { workers: 2 }"])
    func aReplacementKeepsTheOrder(engines: String) throws {
        let seed = Seed.drawn(in: 1...1_000_000)
        let topology = Self.topology("").replacing("engine: {  }", with: engines)
        try Lab.with(topology, files: ["sink.py": Self.sink, "source.py": Self.source]) { lab in
            var replacements = 0
            let sent = try TwoEnginesTests.beside(lab, ["python3", "source.py", "\(seed)"]) { () throws in
                for _ in 1...30 {
                    let replaced = try lab.tapline("engine", "replace", lab.name)
                    #expect(replaced.status == 0, "\(replaced.output)")
                    replacements += 1
                }
            }
            let total = 2 * 80 * 256
            #expect(replacements == 30)
            #expect(
                sent.output == "\(total) = \(total) 0 0\n", "seed \(seed): sent = came, twice, late: \(sent.output)")
        }
    }
}
