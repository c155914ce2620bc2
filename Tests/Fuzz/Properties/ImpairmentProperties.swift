import Engine
import Forwarding
import Plan
import Wire

/// Whatever the links, the memory that engines map of them says for each frame which link it crosses, as the links read one by
/// one do. Whatever the octets of that memory, they are refused, or are harmless to read and to obey.
///
/// An input is an octet for the kind, then the links and the frames, or what is changed in memory, or the memory. Of the fourth
/// kind it is settings as commands write them.
enum ImpairmentProperties {
    private static let interfaces = 3
    private static let addresses = [
        IPAddress(ipv4: 0xCB00_7150), IPAddress(ipv4: 0xCB00_7151), IPAddress(ipv4: 0xC000_0202),
        IPAddress(ipv6High: 0x2001_0DB8_00CB_0000, low: 0x80), IPAddress(ipv6High: 0x2001_0DB8_0002_0000, low: 2),
    ]
    private static let protocols = [IPProtocol.tcp, IPProtocol.udp, IPProtocol.icmp, 47]

    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        var choices = ByteChoices(input)
        switch choices.octet() & 3 {
        case 0: try checkReading(&choices)
        case 1: try checkChanged(&choices)
        case 2: try obey(Array(choices.rest(.max >> 1)), &choices)
        default: try checkSettings(&choices)
        }
    }

    // MARK: - The links, read one by one

    private static func checkReading(_ choices: inout ByteChoices) throws(BrokenProperty) {
        let links = links(&choices)
        try reading(bytes(links), isOurs: true) { (set) throws(BrokenProperty) in
            try require(set.count == links.count, "\(links.count) links became \(set.count)")
            for (place, link) in links.enumerated() {
                let found = set.rule(place)
                try require(found.slot == UInt64(link.slot), "link \(place) counts in slot \(found.slot)")
                let delays = (0..<Int(found.rule.traceCount)).map { set.trace[Int(found.rule.tracePlace) + $0] }
                try require(
                    delays == link.impairment.trace.map(ImpairmentRule.nanoseconds), "the trace of link \(place)")
            }
            for _ in 0..<8 {
                let frame = Frame(&choices)
                for direction in ImpairedPlace.Direction.allCases {
                    let found = frame.octets.withUnsafeBytes { set.rule(direction, frame.interface, $0) }
                    let expected = crossed(links, frame, direction)
                    try require(found == expected, "\(frame) crosses link \(found), not \(expected), of \(links)")
                }
            }
        }
    }

    /// The link that a frame crosses, by the words of `ImpairedPlace`.
    private static func crossed(
        _ links: [ImpairedLinkOrder], _ frame: Frame, _ direction: ImpairedPlace.Direction
    ) -> Int {
        var best = (link: -1, specificity: -1)
        for (number, link) in links.enumerated() {
            for place in link.places
            where place.interface == frame.interface && place.direction == direction
                && place.specificity > best.specificity && frame.matches(place.match, direction)
            { best = (number, place.specificity) }
        }
        return best.link
    }

    private static func links(_ choices: inout ByteChoices) -> [ImpairedLinkOrder] {
        (0..<Int(choices.octet() & 7)).map { number in
            let places = (0..<Int(1 + choices.octet() & 3)).map { _ in place(&choices) }
            var impairment = Impairment()
            impairment.loss = .independent(Probability(billionths: Int(choices.octet()) * 3_000_000))
            impairment.seed = UInt64(choices.octet())
            if choices.octet() & 1 == 1 {
                impairment.trace = (0..<Int(choices.octet() & 3) + 1).map { _ in .microseconds(choices.word()) }
            }
            return ImpairedLinkOrder(
                places: places, impairment: impairment, slot: Int(choices.octet()), stream: UInt64(number), epoch: 1)
        }
    }

    private static func place(_ choices: inout ByteChoices) -> ImpairedPlace {
        let options = choices.octet()
        let match: ImpairedPlace.Match
        switch options >> 4 & 3 {
        case 0: match = .everything
        case 1: match = .station(Frame.station(choices.octet()))
        default:
            let address = addresses[Int(choices.octet()) % addresses.count]
            let length = Int(choices.octet()) % (address.family == .ipv4 ? 33 : 129)
            let ports = [UInt16(choices.octet()), UInt16(choices.octet())].sorted()
            match = .service(
                IPPrefix(address, length: length),
                protocolNumber: options & 1 == 1 ? protocols[Int(choices.octet() & 3)] : nil,
                ports: options & 2 == 2 ? ports[0]...ports[1] : 0...UInt16.max)
        }
        return ImpairedPlace(
            interface: Int(options >> 6) % interfaces, direction: options & 4 == 4 ? .toNodes : .fromNodes, match: match
        )
    }

    /// A frame of which everything is known.
    private struct Frame: CustomStringConvertible {
        var interface: Int
        var octets: [UInt8]
        private var stations: [MACAddress]
        private var ends: [IPAddress] = []
        private var protocolNumber: UInt8 = 0
        private var ports: [UInt16] = []

        static func station(_ octet: UInt8) -> MACAddress { MACAddress(bits: 0x0200_0000_0000 | UInt64(octet & 7)) }

        init(_ choices: inout ByteChoices) {
            let options = choices.octet()
            interface = Int(options & 3) % interfaces
            stations = [Self.station(choices.octet()), Self.station(choices.octet())]
            octets = stations.flatMap { station in
                (0..<6).map { UInt8(truncatingIfNeeded: station.bits >> (40 - $0 * 8)) }
            }
            guard options & 4 == 0 else {
                octets += [0x08, 0x06] + [UInt8](repeating: 0, count: 28)
                return
            }
            let one = addresses[Int(choices.octet()) % addresses.count]
            let family = addresses.filter { $0.family == one.family }
            ends = [one, family[Int(choices.octet()) % family.count]]
            protocolNumber = protocols[Int(choices.octet() & 3)]
            let hasPorts = protocolNumber == IPProtocol.tcp || protocolNumber == IPProtocol.udp
            let isLater = options & 8 == 8 && one.family == .ipv4
            let numbers = [UInt16(choices.octet()), UInt16(choices.octet())]
            if hasPorts, !isLater { ports = numbers }
            // Of an ICMP message, an echo request: of an error the flow that it quotes would count.
            var rest: [UInt8] = hasPorts ? numbers.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] } : [8, 0, 0, 0]
            rest += [UInt8](repeating: 0, count: 20)
            if hasPorts, protocolNumber == IPProtocol.tcp { rest[12] = 0x50 }
            func write(_ address: IPAddress) -> [UInt8] {
                address.family == .ipv4
                    ? (0..<4).map { UInt8(truncatingIfNeeded: address.low >> (24 - $0 * 8)) }
                    : [address.high, address.low].flatMap { half in
                        (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - $0 * 8)) }
                    }
            }
            if one.family == .ipv4 {
                let length = 20 + rest.count
                octets += [0x08, 0x00, 0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, 1, 0, isLater ? 9 : 0, 64]
                octets += [protocolNumber, 0, 0]
            } else {
                octets += [0x86, 0xDD, 0x60, 0, 0, 0, 0, UInt8(rest.count), protocolNumber, 64]
            }
            octets += ends.flatMap(write) + rest
        }

        func matches(_ match: ImpairedPlace.Match, _ direction: ImpairedPlace.Direction) -> Bool {
            switch match {
            case .everything: return true
            case .station(let mac): return stations[direction == .toNodes ? 0 : 1] == mac
            case .service(let prefix, let number, let range):
                guard !ends.isEmpty, number == nil || number == protocolNumber else { return false }
                return ends.indices.contains { end in
                    prefix.contains(IPPrefix(host: ends[end]))
                        && (ports.isEmpty || range.contains(ports[end]))
                }
            }
        }

        var description: String { "a frame on \(interface) between \(ends) of \(protocolNumber) with ports \(ports)" }
    }

    // MARK: - Any memory

    private static func checkChanged(_ choices: inout ByteChoices) throws(BrokenProperty) {
        var memory = bytes(links(&choices))
        for _ in 0..<Int(1 + choices.octet() & 7) {
            let place = choices.word() % memory.count
            memory[place] = choices.octet()
        }
        let cut = choices.octet()
        if cut > 200 { memory.removeLast(min(memory.count, Int(cut - 200))) }
        try obey(memory, &choices)
    }

    /// Reads memory and does what its rules say, if it is taken.
    private static func obey(_ memory: [UInt8], _ choices: inout ByteChoices) throws(BrokenProperty) {
        try reading(memory) { (set) throws(BrokenProperty) in
            for interface in 0..<interfaces + 1 {
                for direction in ImpairedPlace.Direction.allCases {
                    let frame = Frame(&choices)
                    for length in [0, 13, 14, 20, frame.octets.count] {
                        let place = frame.octets.withUnsafeBytes {
                            set.rule(direction, interface, UnsafeRawBufferPointer(rebasing: $0[..<length]))
                        }
                        try require((-1..<set.count).contains(place), "there is no rule \(place)")
                        try require(
                            place < 0 || set.impairs(direction, interface), "interface \(interface) is not impaired")
                    }
                }
            }
            for place in 0..<min(set.count, 16) {
                let found = set.rule(place)
                try require(found.slot < UInt64(ImpairmentSet.mostRules), "slot \(found.slot)")
                var link = ImpairedLink(found.rule, trace: set.trace)
                var free: UInt64 = 0
                for packet in 0..<8 {
                    let fate = link.next()
                    guard !fate.isLost else { continue }
                    let now = UInt64(packet) * 1_000
                    guard let departure = link.send(octets: 60 + packet * 9_000, now: now, free: &free) else {
                        continue
                    }
                    try require(departure.due >= now, "a packet arrives before it is sent")
                }
            }
        }
    }

    private static func bytes(_ links: [ImpairedLinkOrder]) -> [UInt8] {
        (try? ImpairmentSet.bytes(links, interfaces: interfaces)) ?? []
    }

    /// The set in memory of its own, if it is taken.
    ///
    /// - Parameter isOurs: Whether nothing is wrong with it, so that it must be taken.
    private static func reading(
        _ bytes: [UInt8], isOurs: Bool = false, _ body: (ImpairmentSet) throws(BrokenProperty) -> Void
    ) throws(BrokenProperty) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
        defer { memory.deallocate() }
        memory.copyBytes(from: bytes)
        let set: ImpairmentSet
        do throws(EngineError) {
            set = try ImpairmentSet(validating: UnsafeRawBufferPointer(memory), interfaces: interfaces)
        } catch {
            return try require(!isOurs, "our own memory is refused: \(error)")
        }
        try body(set)
    }

    // MARK: - Settings as commands write them

    private static func checkSettings(_ choices: inout ByteChoices) throws(BrokenProperty) {
        let key = ImpairmentText.keys[Int(choices.octet()) % ImpairmentText.keys.count]
        let text = String(decoding: choices.rest(64), as: UTF8.self)
        var impairment = Impairment()
        guard (try? ImpairmentText.set(key, text, in: &impairment)) != nil else { return }
        let rule = ImpairmentRule(impairment, stream: 0, epoch: 0)
        if let fault = rule.fault(traces: 0) {
            throw BrokenProperty("'\(key)' of \(text) is taken, and an engine refuses it: \(fault)")
        }
    }
}
