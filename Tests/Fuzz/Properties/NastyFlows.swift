import Forwarding
import Wire

/// Frames of a few flows, nearly all of which follow on one another, and here and there one that is odd in one way.
struct NastyFlows {
    /// A flow, and where it stands.
    private struct Flow {
        let interface: Int
        let source: MACAddress
        let destination: MACAddress
        let from: IPAddress
        let to: IPAddress
        let isTCP: Bool
        let ports: (Int, Int)
        let size: Int
        var identification = 0xFFFA
        var sequence: UInt32 = 0xFFFF_FFF0
    }

    private var flows: [Flow] = []
    private var waiting = 0
    private static let unresolved = IPAddress(ipv4: 0xC612_0446)

    init(_ fuzzed: FuzzedWorker) {
        let table = fuzzed.table
        let alice = MACAddress(bits: 0x02_0000_0000_A1)
        func add(
            _ interface: Int, _ source: MACAddress, _ from: String, _ fromPort: Int, _ to: String, _ toPort: Int,
            tcp: Bool, size: Int
        ) {
            guard let from = IPAddress(from), let to = IPAddress(to) else { return }
            flows.append(
                Flow(
                    interface: interface, source: source, destination: table.interfaces[interface].mac, from: from,
                    to: to, isTCP: tcp, ports: (fromPort, toPort), size: size))
        }
        add(0, alice, "192.0.2.10", 4_000, "203.0.113.53", 53, tcp: false, size: 18)
        add(0, alice, "192.0.2.10", 4_001, "203.0.113.53", 53, tcp: false, size: 1)
        add(0, alice, "2001:db8:2::10", 4_000, "2001:db8:cb::53", 53, tcp: false, size: 33)
        add(0, alice, "192.0.2.10", 4_000, "203.0.113.80", 80, tcp: true, size: 100)
        add(0, alice, "2001:db8:2::10", 4_000, "2001:db8:cb::80", 80, tcp: true, size: 7)
        // Too big for where it goes; unresolved; nobody's; everything's.
        add(0, alice, "192.0.2.10", 4_000, "198.51.100.7", 9, tcp: false, size: 1_270)
        add(0, alice, "192.0.2.10", 4_000, Self.unresolved.description, 9, tcp: false, size: 20)
        add(0, alice, "192.0.2.10", 4_000, "203.0.113.53", 54, tcp: true, size: 20)
        // Conversations that are replayed from one place: both directions.
        add(0, alice, "198.51.100.7", 9, "192.0.2.10", 4_000, tcp: false, size: 44)
        add(0, alice, "192.0.2.10", 4_002, "198.51.100.8", 80, tcp: true, size: 50)
        add(0, alice, "198.51.100.8", 80, "192.0.2.10", 4_002, tcp: true, size: 52)
        add(0, alice, "2001:db8:2::10", 4_003, "2001:db8:9::8", 9, tcp: false, size: 24)
        add(0, alice, "2001:db8:9::8", 9, "2001:db8:2::10", 4_003, tcp: false, size: 26)
        for known in table.sources {
            add(known.interface, known.mac, "203.0.113.80", 80, "192.0.2.10", 4_000, tcp: true, size: 60)
            add(known.interface, known.mac, "192.0.2.10", 4_000, "203.0.113.80", 80, tcp: true, size: 61)
            add(known.interface, known.mac, "198.18.4.53", 53, "192.0.2.10", 4_000, tcp: false, size: 40)
        }
    }

    /// The next frame behind its `virtio_net_hdr`, and the interface that it comes in on.
    mutating func next(_ choices: inout ByteChoices, interface: Int) -> [UInt8] {
        let here = flows.indices.filter { flows[$0].interface == interface }
        var index = here[Int(choices.octet()) % here.count]
        if flows[index].to == Self.unresolved {
            // Which of too many frames wait for a neighbour depends on the order of flows, which is free.
            waiting += 1
            if waiting > 12 { index = here[0] }
        }
        let odd = choices.octet()
        // Most frames are what one expects.
        let oddity = odd < 0xA0 ? nil : Oddity(rawValue: Int(odd) % Oddity.allCases.count)
        return frame(&flows[index], oddity, &choices)
    }

    /// One way to be odd.
    private enum Oddity: Int, CaseIterable {
        case hopLimit, service, dontFragment, sameIdentification, jump, shorter, longer, empty, padded, flags, window
        case urgent, acknowledgment, options, noChecksum, wrongChecksum, wrongHeaderChecksum, full, valid, wrongPartial
        case lyingOffload, segmented, fragment, extended, label, tagged, group, cut, flipped, otherZero, lastFlags
    }

    private func frame(_ flow: inout Flow, _ oddity: Oddity?, _ choices: inout ByteChoices) -> [UInt8] {
        var size = flow.size
        switch oddity {
        case .shorter: size = Int(choices.octet()) % (flow.size + 1)
        case .longer: size += Int(choices.octet())
        case .empty: size = 0
        case .segmented: size = flow.size * (2 + Int(choices.octet()) % 4)
        default: break
        }
        let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(flow.sequence)) }
        let upper = transport(&flow, oddity, payload, &choices)
        var packet = network(&flow, oddity, upper, &choices)
        if flow.from.family == .ipv4 { flow.identification = (flow.identification + 1) & 0xFFFF }
        if flow.isTCP { flow.sequence &+= UInt32(size) }
        if oddity == .jump {
            flow.identification = Int(choices.octet())
            flow.sequence &+= UInt32(choices.octet())
        }
        let start = 14 + packet.count - upper.count
        var offload = [UInt8](repeating: 0, count: 10)
        let isFull =
            oddity == .full || oddity == .valid || oddity == .wrongChecksum || oddity == .noChecksum
            || oddity == .otherZero || flow.size % 2 == 1
        let field = flow.isTCP ? 16 : 6
        var sum = pseudo(flow, upper.count)
        if isFull {
            sum = NaiveSums.sum(upper) + sum
            let checksum = sum % 0xFFFF == 0 ? (flow.isTCP && oddity != .otherZero ? 0 : 0xFFFF) : ~(sum % 0xFFFF)
            store(checksum, start - 14 + field, in: &packet)
            if oddity == .valid { offload[0] = 2 }
        } else {
            offload = [1, 0, 0, 0, 0, 0, UInt8(start), 0, UInt8(field), 0]
            store(sum % 0xFFFF == 0 ? 0xFFFF : sum % 0xFFFF, start - 14 + field, in: &packet)
        }
        spoil(&packet, &offload, oddity, start - 14 + field, flow, &choices)
        if oddity == .segmented, !isFull {
            let six = flow.from.family == .ipv6
            offload[1] = flow.isTCP ? (six ? 4 : 1) : 5
            offload[4] = UInt8(truncatingIfNeeded: flow.size)
            offload[5] = UInt8(flow.size >> 8)
        }
        var ethernet = flow.destination.octets + flow.source.octets
        if oddity == .group { ethernet[0] |= 1 }
        if oddity == .tagged { ethernet += [0x81, 0, 0, 7] }
        ethernet += flow.from.family == .ipv6 ? [0x86, 0xDD] : [8, 0]
        var frame = offload + ethernet + packet
        if oddity == .padded { frame += [UInt8](repeating: 0, count: 1 + Int(choices.octet()) % 8) }
        if oddity == .cut { frame.removeLast(min(frame.count, Int(choices.octet()))) }
        if oddity == .flipped {
            frame[10 + Int(choices.octet()) % 80 % (frame.count - 10)] ^= 1 << (choices.octet() & 7)
        }
        return frame
    }

    private func transport(
        _ flow: inout Flow, _ oddity: Oddity?, _ payload: [UInt8], _ choices: inout ByteChoices
    ) -> [UInt8] {
        func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
        let ports = word(flow.ports.0) + word(flow.ports.1)
        guard flow.isTCP else { return ports + word(8 + payload.count) + [0, 0] + payload }
        var flags: UInt8 = 0x10
        if oddity == .flags { flags = choices.octet() }
        if oddity == .lastFlags { flags = choices.octet() & 1 == 0 ? 0x18 : 0x11 }
        let options: [UInt8] =
            oddity == .options
            ? [1, 1, 8, 10, 0, 0, 0, choices.octet() & 1, 0, 0, 0, 1] : (flow.size == 60 ? [1, 1, 1, 1] : [])
        let sequence = Int(flow.sequence)
        var header = ports + word(sequence >> 16) + word(sequence)
        header += [0, 0, 0, oddity == .acknowledgment ? 2 : 1]
        header += [UInt8(20 + options.count) << 2, flags, 1, oddity == .window ? 2 : 1]
        header += [0, 0, 0, oddity == .urgent ? 1 : 0]
        return header + options + payload
    }

    private func network(
        _ flow: inout Flow, _ oddity: Oddity?, _ upper: [UInt8], _ choices: inout ByteChoices
    ) -> [UInt8] {
        let number: UInt8 = flow.isTCP ? 6 : 17
        let hopLimit: UInt8 = oddity == .hopLimit ? choices.octet() : 64
        let service: UInt8 = oddity == .service ? choices.octet() : 0
        guard flow.from.family == .ipv4 else {
            let label: UInt8 = oddity == .label ? choices.octet() : 0
            let extensions: [UInt8] = oddity == .extended ? [number, 0, 1, 4, 0, 0, 0, 0] : []
            let length = upper.count + extensions.count
            var header: [UInt8] = [0x60 | service >> 4, service << 4, 0, label]
            header += [UInt8(length >> 8), UInt8(length & 0xFF), extensions.isEmpty ? number : 60, hopLimit]
            header += octets(flow.from)
            header += octets(flow.to)
            return header + extensions + upper
        }
        let options: [UInt8] = oddity == .extended ? [1, 1, 1, 1] : []
        let length = 20 + options.count + upper.count
        if oddity == .sameIdentification { flow.identification = (flow.identification + 0xFFFF) & 0xFFFF }
        var flags: UInt8 = flow.size == 1 ? 0 : 0x40
        if oddity == .dontFragment { flags = choices.octet() & 0xC0 }
        var offset: UInt8 = 0
        if oddity == .fragment {
            flags = choices.octet() & 0x20
            offset = choices.octet() & 3
        }
        var header: [UInt8] = [0x45 + UInt8(options.count / 4), service, UInt8(length >> 8), UInt8(length & 0xFF)]
        header += [UInt8(flow.identification >> 8), UInt8(flow.identification & 0xFF), flags, offset, hopLimit, number]
        header += [0, 0]
        header += octets(flow.from)
        header += octets(flow.to)
        header += options
        let sum = NaiveSums.sum(header)
        store(sum == 0 ? (oddity == .otherZero ? 0xFFFF : 0) : ~sum, 10, in: &header)
        return header + upper
    }

    private func spoil(
        _ packet: inout [UInt8], _ offload: inout [UInt8], _ oddity: Oddity?, _ field: Int, _ flow: Flow,
        _ choices: inout ByteChoices
    ) {
        switch oddity {
        case .noChecksum: store(0, field, in: &packet)
        case .wrongChecksum: packet[packet.count - 1] ^= 1
        case .wrongHeaderChecksum where flow.from.family == .ipv4: packet[10] ^= 1
        case .wrongPartial where offload[0] == 1: packet[field] ^= 1 + choices.octet() & 0x7F
        case .lyingOffload: offload[Int(choices.octet()) % 10] = choices.octet() & ~2
        default: break
        }
    }

    private func pseudo(_ flow: Flow, _ length: Int) -> Int {
        NaiveSums.sum(octets(flow.from) + octets(flow.to)) + length + (flow.isTCP ? 6 : 17)
    }

    private func octets(_ address: IPAddress) -> [UInt8] {
        (0..<address.family.width / 8).reversed().map { (place: Int) -> UInt8 in
            let half: UInt64 = place < 8 ? address.low : address.high
            return UInt8(truncatingIfNeeded: half >> UInt64(place % 8 * 8))
        }
    }

    private func store(_ value: Int, _ offset: Int, in bytes: inout [UInt8]) {
        bytes[offset] = UInt8(value >> 8 & 0xFF)
        bytes[offset + 1] = UInt8(value & 0xFF)
    }
}
