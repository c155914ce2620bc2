import Foundation
import Testing

/// Several workers, and several engines: flows keep to one, and their frames stay in order.
@Suite(.serialized) struct WorkerTests {
    /// alice's datagrams pass a firewall and are counted by the sink, which answers.
    static func topology(_ engine: String, send: String = "mac") -> String {
        """
        name: workers
        interfaces:
          outside: { address: 192.0.2.1/24 }
          near:    { address: 198.18.2.1/24 }
          far:     { address: 198.18.3.1/24 }
          inside:  { address: 198.18.4.1/24 }
        customers:
          alice: { interface: outside, address: 192.0.2.10/24 }
        applications:
          firewall: { type: firewall, attach: { in: near, out: far } }
          sink:
            type: server
            attach: inside
            send: \(send)
            run: exec python3 sink.py
            ready: { run: test -e "$TAPLINE_DIR/ready" }
        services:
          numbers: { address: 203.0.113.80, ports: [udp/7], sequence: [firewall, sink] }
        \(engine)
        """
    }

    static let files = [
        // Counts numbered datagrams, and those that come behind a later one of their flow; answers every hundredth.
        "sink.py": """
        import os, socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE
        s.bind(('', 7))
        open(os.environ['TAPLINE_DIR'] + '/ready', 'w')
        last, came, late = {}, 0, 0
        while True:
            data, peer = s.recvfrom(64)
            if data == b'how many?':
                s.sendto(b'%d %d %d' % (came, late, len(last)), peer)
                continue
            number = int(data)
            came += 1
            late += number < last.get(peer, -1)
            last[peer] = max(number, last.get(peer, -1))
            if number % 100 == 0: s.sendto(data, peer)
        """,
        // count.py FLOWS EACH TOTAL: numbers the datagrams of so many flows, strictly in turn, and prints what the sink has
        // counted, when it has counted TOTAL with those before: how many came, how many of them late, of how many flows.
        "count.py": """
        import socket, sys, time
        flows, each, total = map(int, sys.argv[1:])
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
        for s in sockets: s.connect(('203.0.113.80', 7))
        for i in range(each):
            for s in sockets: s.send(b'%d' % i)
            if i * flows % 80 < flows: time.sleep(0.002)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(('203.0.113.80', 7))
        s.settimeout(20)
        # The last ones may be on their way for a while.
        for _ in range(200):
            s.send(b'how many?')
            counted = s.recv(64).decode()
            if int(counted.split()[0]) >= total: break
            time.sleep(0.1)
        print(counted)
        """,
    ]

    private func counted(_ lab: Lab, flows: Int, each: Int, of total: Int) throws -> [Int] {
        let counted = try lab.exec("alice", "python3 count.py \(flows) \(each) \(total)")
        return counted.output.split(separator: " ").compactMap { Int($0.trimmingCharacters(in: .newlines)) }
    }

    /// Has all find their neighbours, by one datagram: until then a node's kernel keeps 256 frames for one, and may change
    /// their order when it has found it.
    private func findNeighbours(_ lab: Lab) throws {
        #expect(try counted(lab, flows: 1, each: 1, of: 1) == [1, 0, 1])
    }

    /// Numbered datagrams of sixteen flows, answered now and then, so that the kernel learns which worker a flow is at.
    @Test(arguments: [("engine: { workers: 2 }", "mac"), ("engine: { workers: 3 }", "network"), ("engines: 2", "mac")])
    func framesOfAFlowStayInOrder(_ engine: String, _ send: String) throws {
        try Lab.with(Self.topology(engine, send: send), files: Self.files) { lab in
            try findNeighbours(lab)
            let came = try counted(lab, flows: 16, each: 1_000, of: 16_001)
            #expect(came == [16_001, 0, 17])
        }
    }

    /// Engines have queue indexes as workers do, and `status` tells of each engine what it has received.
    @Test func aFlowKeepsToOneEngine() throws {
        try Lab.with(Self.topology("engines: 2"), files: Self.files) { lab in
            func packets() throws -> [Int] { try TwoEnginesTests.engines(lab).map { $0["packets"] as? Int ?? 0 } }
            try findNeighbours(lab)
            for round in 1...4 {
                let before = try packets()
                let came = try counted(lab, flows: 1, each: 1_000, of: 1 + round * 1_000)
                #expect(came.first.map { $0 % 1_000 } == 1, "\(came)")
                let risen = try zip(packets(), before).map { $0 - $1 }
                // Each datagram is received from alice and from the firewall; the other engine may have the question,
                // the answers, and what nodes say by themselves.
                #expect(risen.max() ?? 0 >= 2_000, "\(risen)")
                #expect(risen.min() ?? 0 < 100, "\(risen)")
            }
        }
    }

    /// What an engine costs that has nothing to do: its processor time is counted by the kernel, in ticks of 10 ms.
    @Test(arguments: [
        "engine: { latency: normal }", "engine: { latency: low }", "engines: { count: 2, workers: 2, latency: low }",
    ])
    func anIdleEngineSleeps(_ engine: String) throws {
        try Lab.with(Self.topology(engine), files: Self.files) { lab in
            try findNeighbours(lab)
            #expect(try counted(lab, flows: 4, each: 100, of: 401) == [401, 0, 5])
            // What the kernels say by themselves at first (neighbours, multicast groups) is over by then.
            sleep(2)
            func reading() throws -> (turns: Int, ticks: Int) {
                let status = try lab.status()
                let turns = try #require((status["engine"] as? [String: Any])?["turns"] as? Int)
                let pids = try #require(status["engines"] as? [[String: Any]]).compactMap { $0["pid"] as? Int }
                return (turns, try pids.reduce(0) { try $0 + Self.ticks($1) })
            }
            let before = try reading()
            sleep(2)
            let after = try reading()
            let engines = engine.contains("count: 2") ? 2 : 1
            // It is asked four times a second whether it goes round; each worker then does, once or twice.
            #expect(after.turns - before.turns < 100 * engines)
            // Two ticks in two seconds are one hundredth of a processor.
            #expect(after.ticks - before.ticks <= 2 * engines)
        }
    }

    /// The processor time of a process, in clock ticks: utime and stime, fields 14 and 15 of /proc/PID/stat.
    private static func ticks(_ pid: Int) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        let fields = try #require(text.split(separator: ")").last).split(separator: " ")
        return try #require(Int(fields[11])) + #require(Int(fields[12]))
    }
}
