import Engine
import Forwarding
import Glibc
import LinuxNetwork
import Wire

/// A customer and a server in namespaces of their own, with a TAP each, and what an engine between them is handed.
final class EngineBench {
    static let service = "203.0.113.80"
    let suffix: String
    let namespaces: [NetworkNamespace]
    let taps: [TapDevice]
    let layout: CounterLayout
    let counters: Int32
    let neighbours: Int32
    let workers: Int
    /// Engines that may read at the same time; each has as many queue indexes as it has workers.
    let engines: Int
    private var tables: [Int32] = []
    private let counterMemory: SharedMapping

    private static let macs = [TestFrame.mac(0xA1), TestFrame.mac(0x3B)]

    init(workers: Int = 1, engines: Int = 1) throws {
        self.workers = workers
        self.engines = engines
        suffix = String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16)
        // A block for each worker of each engine, and of its successor.
        layout = CounterLayout(workers: workers * engines * 2, interfaces: 2, entries: 64)
        counters = try SharedMapping.makeCounters(layout)
        neighbours = try SharedMapping.makeNeighbours()
        counterMemory = try SharedMapping(mapping: counters, size: layout.size, writable: false)
        var namespaces: [NetworkNamespace] = []
        var taps: [TapDevice] = []
        let addresses = [
            ["192.0.2.10/24", "2001:db8:2::10/64"], ["198.18.4.2/24", "2001:db8:4::2/64"],
        ]
        let gateways = [["192.0.2.1", "2001:db8:2::1"], ["198.18.4.1", "2001:db8:4::1"]]
        for index in 0..<2 {
            let namespace = try NetworkNamespace.create(
                "engine\(index)-\(suffix)", mark: "tapline test \(suffix)",
                sysctls: [("net.ipv6.conf.all.accept_dad", "0")])
            namespaces.append(namespace)
            let tap = try TapDevice(
                LinkSettings(name: "eth0", mac: Self.macs[index], mtu: 1_500), in: namespace,
                queues: workers * engines)
            taps.append(tap)
            let netlink = try namespace.netlink
            for text in addresses[index] {
                let address = InterfaceAddress(text)!
                try netlink.addAddress(LinkAddress(address.address, length: address.length), link: tap.index)
            }
            for text in gateways[index] {
                let gateway = IPAddress(text)!
                try netlink.addRoute(Route(.everything(gateway.family), gateway: gateway, link: tap.index))
            }
        }
        for text in [Self.service, "2001:db8:cb::80"] {
            try namespaces[1].netlink.addAddress(LinkAddress(IPAddress(text)!), link: 1)
        }
        self.namespaces = namespaces
        self.taps = taps
    }

    deinit {
        for descriptor in tables + [counters, neighbours] { close(descriptor) }
        for namespace in namespaces { try? NetworkNamespace.delete(namespace.name) }
    }

    /// The table of the bench; every generation does the same.
    static var table: ForwardingTable {
        var table = ForwardingTable()
        let addresses = [["192.0.2.1/24", "2001:db8:2::1/64"], ["198.18.4.1/24", "2001:db8:4::1/64"]]
        table.interfaces = (0..<2).map { index in
            TableInterface(
                name: ["customers", "servers"][index], mac: TestFrame.mac(0xE0 + UInt64(index)),
                addresses: addresses[index].map { InterfaceAddress($0)! })
        }
        table.sources = [
            KnownSource(interface: 1, mac: macs[1], node: "web", system: .terminalApplication)
        ]
        for (index, text) in [service, "2001:db8:cb::80"].enumerated() {
            let prefix = IPPrefix(text)!
            table.claimed.append(ClaimedAddress(interface: 0, prefix: prefix))
            table.entries.append(
                Entry(
                    name: "request", kind: .distribution, direction: .request, receivedInterface: 0,
                    destination: prefix,
                    targets: [SendTarget(interface: 1, address: .mac(macs[1]), system: .terminalApplication)],
                    counter: index * 2))
            table.entries.append(
                Entry(
                    name: "response", kind: .sequencing, direction: .response, receivedInterface: 1,
                    sourceMAC: macs[1], source: prefix,
                    targets: [SendTarget(interface: 0, address: .neighbour(via: nil), system: .customer)],
                    counter: index * 2 + 1))
        }
        return table
    }

    /// A sealed table's memory and its size.
    func makeTable(_ generation: UInt64, _ table: ForwardingTable = EngineBench.table) throws -> (Int32, Int) {
        let bytes = try TableCompiler.compile(table, generation: generation)
        let descriptor = try bytes.withUnsafeBytes { try SharedMapping.makeTable($0) }
        tables.append(descriptor)
        return (descriptor, bytes.count)
    }

    /// Where the engine's program is: `TAPLINE_ENGINE`, or beside the tests' own.
    static var program: String {
        if let named = getenv("TAPLINE_ENGINE") { return String(cString: named) }
        var path = [CChar](repeating: 0, count: 4_096)
        let length = readlink("/proc/self/exe", &path, path.count - 1)
        let own = String(decoding: path[..<max(0, length)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let beside = own.split(separator: "/").dropLast().joined(separator: "/")
        let candidate = "/\(beside)/tapline-engine"
        if access(candidate, X_OK) == 0 { return candidate }
        // The runner may be another program, with the tests' bundle as its argument.
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
            return argument.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
                + "/tapline-engine"
        }
        return candidate
    }

    /// A running engine.
    final class Running {
        let process: Pidfd
        let link: EngineLink
        let confinement: EngineConfinement
        private var assignments: UInt64 = 0

        init(process: Pidfd, link: consuming EngineLink, confinement: EngineConfinement) {
            self.process = process
            self.link = link
            self.confinement = confinement
        }

        /// Assigns queue sets and waits until they are read, and no others.
        func assign(_ queueSets: QueueSets) throws {
            assignments += 1
            try link.assign(queueSets, number: assignments)
            guard case .assigned(assignments) = try link.receive() else {
                throw EngineError("assign queues", because: "the engine said something else")
            }
        }

        deinit {
            if !process.hasEnded { try? process.signal(SIGKILL) }
            _ = try? process.wait()
        }
    }

    /// The queue sets of one of the engines where each reads its own.
    func queueSets(of engine: Int) -> QueueSets { QueueSets(engine * workers..<(engine + 1) * workers) }

    /// Starts an engine on the bench's descriptors and waits until it reads every queue.
    func start(
        generation: UInt64 = 1, tuning: EngineTuning = EngineTuning(), refusing: Refusal? = nil, launcher: [String] = []
    ) throws -> Running {
        let running = try prepare(generation: generation, tuning: tuning, refusing: refusing, launcher: launcher)
        try running.assign(QueueSets(0..<workers * engines))
        return running
    }

    /// Starts an engine on the bench's descriptors and waits until it is ready to read.
    ///
    /// - Parameters:
    ///   - lane: Which of the places for an engine's counters it writes to.
    ///   - refusing: A system call that fails for the engine.
    ///   - launcher: A program and its arguments that run the engine.
    func prepare(
        generation: UInt64 = 1, lane: Int = 0, tuning: EngineTuning = EngineTuning(), refusing: Refusal? = nil,
        launcher: [String] = [], spareMebibytes: UInt32 = 64
    ) throws -> Running {
        let (table, size) = try makeTable(generation)
        let (control, engine) = try EngineLink.makePair()
        let process =
            if let refusing {
                try Pidfd(pid: try refusing.spawn(Self.program, [3: engine, 2: 2]))
            } else {
                try Self.spawn(launcher, engine)
            }
        close(engine)
        let link = EngineLink(owning: control)
        try link.start(
            EngineResources(
                queues: taps.map(\.queues), queueSets: taps.map { Array($0.queues.indices) }, workers: workers,
                counters: counters, counterLayout: layout, firstBlock: lane * workers, neighbours: neighbours,
                table: table, tableSize: size, generation: generation, tuning: tuning),
            user: EngineIdentity.user(of: process.pid), spareMebibytes: spareMebibytes)
        let event = try link.receive()
        guard case .ready(let confinement) = event else {
            let end = try process.wait()
            throw EngineError("start the engine", because: "it said \(String(describing: event)), and \(end)")
        }
        return Running(process: process, link: link, confinement: confinement)
    }

    private static func spawn(_ launcher: [String], _ engine: Int32) throws -> Pidfd {
        var command = Command(
            launcher.first ?? program, arguments: launcher.isEmpty ? ["tapline-engine"] : launcher + [program],
            descriptors: [3: engine, 2: 2], diesWithParent: true)
        command.ownsProcesses = launcher.isEmpty
        return try ProcessLauncher.spawn(command)
    }

    var reader: CounterReader {
        var reader = CounterReader()
        reader.add(memory: counterMemory.base, layout: layout)
        return reader
    }

    /// What one lane's first worker has counted, the others left out.
    func block(_ lane: Int) -> CounterReader {
        var reader = CounterReader()
        let one = CounterLayout(workers: 1, interfaces: 2, entries: 64)
        reader.add(memory: counterMemory.base + lane * workers * (one.size - 4_096), layout: one)
        return reader
    }

    /// Whether something comes true within a minute, however busy the machine is.
    static func eventually(_ holds: () throws -> Bool) rethrows -> Bool {
        for _ in 0..<60_000 {
            if try holds() { return true }
            usleep(1_000)
        }
        return false
    }

    // MARK: - Sockets in the namespaces

    static func socketAddress(_ text: String, _ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = IPAddress(text)!.ipv4Bits.bigEndian
        return address
    }

    /// Calls `body` with the address as the socket calls want it.
    static func with(_ address: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// A socket in the namespace, whose calls wait for at most 20 seconds.
    func socket(_ index: Int, _ type: __socket_type) throws -> Int32 {
        try namespaces[index].perform { () throws(SystemError) -> Int32 in
            let descriptor = Glibc.socket(AF_INET, Int32(type.rawValue), 0)
            var timeout = timeval(tv_sec: 20, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
            return descriptor
        }
    }
}
