import Forwarding
import TableReading
import Wire

/// Whatever the table, it is refused with its problems or becomes a snapshot that decides as its entries read; whatever
/// the octets, they are refused or are a snapshot that is harmless to read.
enum DecisionProperties {
    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        var choices = ByteChoices(input)
        switch choices.octet() & 3 {
        case 0: try checkReading(choices)
        case 1: try checkHostileTable(choices)
        case 2: try checkChangedSnapshot(&choices)
        default: try use(choices.rest(.max >> 1), packets: packets)
        }
    }

    private static let packets: [FlowFields] = {
        var octets = (0..<64).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
        octets += octets.reversed()
        return octets.withUnsafeBytes { bytes in
            var universe = TableUniverse(ByteChoices(bytes))
            return (0..<6).map { _ in universe.packet() }
        }
    }()

    /// The snapshot decides as the entries do, read one by one.
    private static func checkReading(_ choices: ByteChoices) throws(BrokenProperty) {
        var universe = TableUniverse(choices)
        var table = universe.table()
        let stations = TableUniverse<ByteChoices>.stations
        var silenced: Set<[UInt64]> = []
        for interface in 0..<2 {
            for mac in stations where universe.chance(20) {
                let mayEmit = universe.chance(30)
                table.sources.append(
                    KnownSource(
                        interface: interface, mac: mac, node: "n", system: .passiveApplication, mayEmit: mayEmit))
                if !mayEmit { silenced.insert([UInt64(interface), mac.bits]) }
            }
        }
        for _ in 0..<universe.pick(0..<4) {
            table.claimed.append(ClaimedAddress(interface: 0, prefix: universe.prefix(.ipv4) ?? .everything(.ipv6)))
        }
        let problems = table.removeTies()
        try require(problems.isEmpty, "a table of the universe is refused: \(problems)")
        for (index, left) in table.entries.enumerated() {
            for right in table.entries[(index + 1)...] where NaiveReading.tie(left, right) {
                throw BrokenProperty("\(left.name) and \(right.name) tie, and are not refused")
            }
        }
        let reading = NaiveReading(of: table)
        let buffer: SnapshotBuffer
        do {
            buffer = try SnapshotBuffer(copying: TableCompiler.compile(table, generation: 3))
        } catch {
            throw BrokenProperty("a table compiles, and its snapshot is refused: \(error)")
        }
        defer { withExtendedLifetime(buffer) {} }
        for _ in 0..<24 {
            let packet = universe.packet()
            let mac = stations[universe.pick(0..<stations.count)]
            let interface = universe.pick(0..<2)
            let decision = buffer.snapshot.decide(packet, sourceMAC: mac, receivedInterface: interface)
            if silenced.contains([UInt64(interface), mac.bits]) {
                try require(decision == .drop(.passiveEmission, answer: .none), "a silent station gets \(decision)")
            } else if let entry = reading.matchingEntry(packet, from: mac, on: interface) {
                try require(decision == .forward(entry: entry), "\(decision), not entry \(entry), for \(packet)")
                try checkPorts(table.entries[entry], buffer.snapshot.entry(entry), buffer.snapshot)
            } else if case .forward(let entry) = decision {
                throw BrokenProperty("entry \(entry) and not none, for \(packet)")
            }
            if universe.random.isUsedUp { break }
        }
    }

    /// The translations of an entry are in its record, and in those of its hops.
    private static func checkPorts(
        _ entry: Entry, _ record: EntryRecord, _ snapshot: Snapshot
    ) throws(BrokenProperty) {
        try require(record.outerShift == entry.outerShift, "\(record.outerShift) is not \(entry.outerShift)")
        for (hop, index) in zip(entry.hops, record.targets) {
            let wanted = hop.targets.first?.portShift
            switch snapshot.hop(index) {
            case .target(let target): try require(target.portShift == wanted, "\(target) adds to the port")
            case .instance(let choice):
                try require(
                    choice.portShift == wanted && snapshot.target(choice, member: 0).portShift == wanted,
                    "\(choice) adds to the port")
            case .hops: continue
            }
        }
    }

    /// A table of anything: problems, each with a sentence, or a snapshot.
    private static func checkHostileTable(_ choices: ByteChoices) throws(BrokenProperty) {
        var universe = TableUniverse(choices)
        var table = universe.table()
        let numbers = [0, 1, 2, 3, -1, 1 << 24, (1 << 24) + 1, .max, .min, 575, 576, 1280, 65_521, 65_522, 5_000]
        let macs: [UInt64] = [0, 1, 0x0200_0000_00F0, 0x0200_0000_0001, 0x0100_0000_0000, .max]
        func number(_ universe: inout TableUniverse<ByteChoices>) -> Int { numbers[universe.pick(0..<numbers.count)] }
        func mac(_ universe: inout TableUniverse<ByteChoices>) -> MACAddress {
            MACAddress(bits: macs[universe.pick(0..<macs.count)])
        }
        func address(_ universe: inout TableUniverse<ByteChoices>) -> IPAddress {
            switch universe.pick(0..<6) {
            case 0: IPAddress(ipv4: [0, 0x7F00_0001, 0xE000_0001, .max][universe.pick(0..<4)])
            case 1: IPAddress(ipv6High: [0, 0xFF02 << 48, 0xFE80 << 48][universe.pick(0..<3)], low: 1)
            case 2, 3: universe.address(.ipv6)
            default: universe.address(.ipv4)
            }
        }
        for _ in 0..<universe.pick(1..<24) {
            let index = universe.pick(0..<table.entries.count)
            switch universe.pick(0..<17) {
            case 0: table.entries[index].counter = number(&universe)
            case 1: table.entries[index].receivedInterface = number(&universe)
            case 2: table.entries[index].targets = []
            case 3:
                table.entries[index].targets[0...].append(
                    SendTarget(
                        interface: number(&universe), address: .network(address(&universe)), sourceMAC: mac(&universe),
                        system: .router))
            case 4: table.entries[index].rewriteSource = address(&universe)
            case 5: table.entries[index].sourceMAC = mac(&universe)
            case 6: table.interfaces[universe.pick(0..<2)].mtu = number(&universe)
            case 7: table.interfaces[universe.pick(0..<2)].mac = mac(&universe)
            case 8:
                table.interfaces[universe.pick(0..<2)].addresses.append(
                    InterfaceAddress(address(&universe), length: universe.pick(0..<33)))
            case 9:
                table.neighbours.append(
                    StaticNeighbour(interface: number(&universe), address: address(&universe), mac: mac(&universe)))
            case 10:
                table.sources.append(
                    KnownSource(interface: number(&universe), mac: mac(&universe), node: "n", system: .router))
            case 11:
                table.claimed.append(
                    ClaimedAddress(interface: number(&universe), prefix: IPPrefix(host: address(&universe))))
            case 13: table.groups[universe.pick(0..<2)].members[0].weight = number(&universe)
            case 14: table.groups[universe.pick(0..<2)].minimum = number(&universe)
            case 15:
                table.entries[index].hops.append(
                    .instance(group: number(&universe), targets: [], otherwise: .hops([])))
            case 12: table.entries[index].servicePort = ServicePort(protocolNumber: nil, ports: 1...2)
            default: table.entries[index].source = IPPrefix(address(&universe), length: universe.pick(0..<33))
            }
        }
        let bytes: [UInt8]
        do throws(TableError) {
            bytes = try TableCompiler.compile(table, generation: 1)
        } catch {
            try require(
                !error.problems.isEmpty && error.problems.allSatisfy { !$0.description.isEmpty }, "refused in silence")
            return
        }
        let snapshot = ExactOctets(bytes)
        let seen = try use(UnsafeRawBufferPointer(snapshot.bytes), packets: packets)
        try require(seen != nil, "a table compiles, and its snapshot is refused")
    }

    /// A sound snapshot in which some octets are changed.
    private static func checkChangedSnapshot(_ choices: inout ByteChoices) throws(BrokenProperty) {
        let bytes = ExactOctets(sound)
        while !choices.isUsedUp {
            let place = choices.word() % bytes.bytes.count
            bytes.bytes[place] ^= choices.octet()
        }
        try use(UnsafeRawBufferPointer(bytes.bytes), packets: packets)
    }

    /// The snapshot of a table with something in every section.
    private static let sound: [UInt8] = {
        let octets = (0..<4_000).map { UInt8(truncatingIfNeeded: ($0 &* 131 &+ 7) ^ ($0 >> 3)) }
        return octets.withUnsafeBytes { bytes in
            var universe = TableUniverse(ByteChoices(bytes))
            var table = universe.table()
            table.interfaces[0].addresses = [InterfaceAddress("10.0.0.1/24")!, InterfaceAddress("2001:db8::1/64")!]
            table.sources = TableUniverse<ByteChoices>.stations.map {
                KnownSource(interface: 1, mac: $0, node: "n", system: .inlineApplication)
            }
            table.neighbours = [
                StaticNeighbour(interface: 1, address: IPAddress("10.0.0.2")!, mac: MACAddress(bits: 0x0200_0000_0009))
            ]
            table.claimed = [
                ClaimedAddress(interface: 0, prefix: IPPrefix("10.0.0.0/8")!),
                ClaimedAddress(interface: 0, prefix: IPPrefix("2001:db8::/32")!),
            ]
            precondition(table.removeTies().isEmpty)
            do { return try TableCompiler.compile(table, generation: 1) } catch { preconditionFailure("\(error)") }
        }
    }()

    /// Validates the octets, at an address that is a multiple of 8 and not a byte longer, and reads all there is.
    ///
    /// - Returns: Nil where they are refused.
    @discardableResult
    private static func use(
        _ bytes: UnsafeRawBufferPointer, packets: [FlowFields]
    ) throws(BrokenProperty) -> Int? {
        let exact = ExactOctets(bytes)
        defer { withExtendedLifetime(exact) {} }
        guard let snapshot = try? Snapshot(validating: UnsafeRawBufferPointer(exact.bytes)) else { return nil }
        return snapshot.useEverything(packets: packets, stations: TableUniverse<ByteChoices>.stations)
    }
}
