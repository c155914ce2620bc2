import Wire

/// The words of the access lists under construction.
///
/// A list has four dimensions: the own address, the remote address, the protocol with the own port (or ICMP type), and the
/// protocol with the remote port. Each is cut into segments (`AccessSegments`). So a packet costs a binary search in each
/// dimension, and the intersection of four vectors, whatever the rules are.
struct AccessTable {
    /// The points' own addresses, and the lists' remote ones.
    private(set) var addresses: [UInt64] = []
    private(set) var ports: [UInt64] = []
    private(set) var vectors = SharedRecords(width: 1)
    private(set) var lists: [UInt64] = []
    private(set) var rules: [UInt64] = []
    private(set) var points: [UInt64] = []

    private typealias Addresses = AccessSegments<UInt128>

    init(_ table: ForwardingTable) {
        for point in table.access {
            let first = lists.count * 8 / Section.accessLists.stride
            for list in point.lists { add(list) }
            points.append(own(point.lists, .ipv4, first))
            points.append(own(point.lists, .ipv6, first))
        }
    }

    /// The segments of all own addresses of one family, each with its list.
    ///
    /// - Returns: The first segment, with their number in the upper half.
    private mutating func own(_ lists: [AccessList], _ family: AddressFamily, _ first: Int) -> UInt64 {
        var pieces: [(numbers: ClosedRange<UInt128>, list: Int, vector: [UInt64])] = []
        for (index, list) in lists.enumerated() {
            let words = Self.words(list)
            // The bit of the list itself comes behind those of its rules.
            let own = TableCompiler.disjoint(list.own).filter { $0.family == family }.map { ($0.numbers, words * 64) }
            let rules = list.rules.enumerated().filter { $0.element.own.family == family }
                .map { ($0.element.own.numbers, $0.offset) }
            let segments = Addresses(own + rules, words: words + 1).segments
            for (place, segment) in segments.enumerated() where segment.vector[words] != 0 {
                let end = place + 1 < segments.count ? segments[place + 1].start - 1 : .max
                pieces.append((segment.start...end, first + index + 1, Array(segment.vector[..<words])))
            }
        }
        guard !pieces.isEmpty else { return 0 }
        pieces.sort { $0.numbers.lowerBound < $1.numbers.lowerBound }
        let start = addresses.count / 3
        var next: UInt128? = 0
        for piece in pieces {
            // The addresses between are no list's own.
            if let gap = next, gap < piece.numbers.lowerBound { add(gap, 0, 0) }
            add(piece.numbers.lowerBound, piece.list, share(piece.vector))
            next = piece.numbers.upperBound == .max ? nil : piece.numbers.upperBound + 1
        }
        if let next { add(next, 0, 0) }
        return UInt64(low: start, high: addresses.count / 3 - start)
    }

    private mutating func add(_ start: UInt128, _ list: Int, _ vector: Int) {
        addresses += [
            UInt64(truncatingIfNeeded: start >> 64), UInt64(truncatingIfNeeded: start), UInt64(low: list, high: vector),
        ]
    }

    private mutating func share(_ vector: [UInt64]) -> Int { vector.isEmpty ? 0 : vectors.share(vector) }

    private static func words(_ list: AccessList) -> Int { (list.rules.count + 63) / 64 }

    // MARK: - One list

    private mutating func add(_ list: AccessList) {
        let words = Self.words(list)
        let firstRule = rules.count
        for rule in list.rules { rules.append(Self.word(rule.action, rule.counter)) }
        lists += [
            UInt64(low: firstRule, high: list.rules.count),
            Self.word(list.otherwise, list.counter),
            remote(list, .ipv4, words), remote(list, .ipv6, words),
            upper(list.rules.enumerated().flatMap { ownRanges($0.element, $0.offset) }, words),
            upper(list.rules.enumerated().flatMap { remoteRanges($0.element, $0.offset) }, words),
            UInt64(words), 0,
        ]
    }

    private static func word(_ action: AccessRule.Action, _ counter: Int) -> UInt64 {
        let kind: UInt32 =
            switch action {
            case .allow: Layout.accessAllows
            case .deny(let denial): UInt32(denial.rawValue)
            }
        return UInt64(low: UInt32(counter), high: kind)
    }

    private mutating func remote(_ list: AccessList, _ family: AddressFamily, _ words: Int) -> UInt64 {
        let ranges = list.rules.enumerated().filter { $0.element.own.family == family }
            .map { (($0.element.remote ?? .everything(family)).numbers, $0.offset) }
        let start = addresses.count / 3
        for segment in Addresses(ranges, words: words).segments { add(segment.start, 0, share(segment.vector)) }
        return UInt64(low: start, high: addresses.count / 3 - start)
    }

    private mutating func upper(_ ranges: [(ClosedRange<UInt32>, Int)], _ words: Int) -> UInt64 {
        let start = ports.count
        for segment in AccessSegments<UInt32>(ranges, words: words).segments {
            ports.append(UInt64(low: segment.start, high: UInt32(share(segment.vector))))
        }
        return UInt64(low: start, high: ports.count - start)
    }

    /// The numbers of protocols with the own ports, or the ICMP type, that a rule matches.
    private func ownRanges(_ rule: AccessRule, _ index: Int) -> [(ClosedRange<UInt32>, Int)] {
        switch rule.matter {
        case .any, .protocolNumber: return whole(rule, index)
        case .ports(let number, let own, let remote):
            let isUnread = rule.action == .allow || own == 0...65535 && remote == 0...65535
            return ranges(number, [own], isUnread, index)
        case .icmp(let type):
            let types = AccessRule.types(type, rule.own.family).map { UInt16($0)...UInt16($0) }
            return ranges(Self.icmp(rule), types, rule.action == .allow, index)
        }
    }

    private func remoteRanges(_ rule: AccessRule, _ index: Int) -> [(ClosedRange<UInt32>, Int)] {
        guard case .ports(let number, _, let remote) = rule.matter else { return whole(rule, index) }
        // The own ports decide about packets without ports.
        return ranges(number, [remote], true, index)
    }

    private static func icmp(_ rule: AccessRule) -> UInt8 {
        rule.own.family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6
    }

    /// Every number, or every one of the rule's protocol.
    private func whole(_ rule: AccessRule, _ index: Int) -> [(ClosedRange<UInt32>, Int)] {
        let number: UInt8
        switch rule.matter {
        case .any: return [(0...UInt32.max, index)]
        case .protocolNumber(let own): number = own
        case .ports(let own, _, _): number = own
        case .icmp: number = Self.icmp(rule)
        }
        return [(Layout.upper(number, 0)...Layout.upperUnread(number), index)]
    }

    private func ranges(
        _ number: UInt8, _ values: [ClosedRange<UInt16>], _ isUnread: Bool, _ index: Int
    ) -> [(ClosedRange<UInt32>, Int)] {
        values.map { (Layout.upper(number, $0.lowerBound)...Layout.upper(number, $0.upperBound), index) }
            + (isUnread ? [(Layout.upperUnread(number)...Layout.upperUnread(number), index)] : [])
    }
}

/// Which targets lead to an application whose packets are judged.
struct AccessMarks {
    private struct Station: Hashable {
        var interface: Int
        var address: IPAddress
    }
    private struct Holding {
        var interface: Int
        var prefix: IPPrefix
        var mark: UInt64
    }
    /// By interface and MAC address.
    private var stations: [UInt64: UInt64] = [:]
    private var neighbours: [Station: UInt64] = [:]
    private var holdings: [Holding] = []
    /// True if no target is marked.
    var isEmpty: Bool { stations.isEmpty }

    init(_ table: ForwardingTable) {
        var marks: [String: UInt64] = [:]
        for (index, point) in table.access.enumerated() where !point.lists.isEmpty {
            for node in point.nodes { marks[node] = UInt64(index + 1) }
        }
        guard !marks.isEmpty else { return }
        for source in table.sources {
            guard let mark = marks[source.node] else { continue }
            stations[Layout.macKey(interface: source.interface, bits: source.mac.bits)] = mark
        }
        for neighbour in table.neighbours {
            guard let mark = mark(neighbour.interface, neighbour.mac) else { continue }
            neighbours[Station(interface: neighbour.interface, address: neighbour.address)] = mark
        }
        for holder in table.holders {
            guard let mark = mark(holder.interface, holder.mac) else { continue }
            holdings.append(Holding(interface: holder.interface, prefix: holder.prefix, mark: mark))
        }
    }

    /// True if the node that has an address is judged.
    func judges(_ holder: AddressHolder) -> Bool { mark(holder.interface, holder.mac) != nil }

    private func mark(_ interface: Int, _ mac: MACAddress) -> UInt64? {
        stations[Layout.macKey(interface: interface, bits: mac.bits)]
    }

    private func mark(_ interface: Int, _ prefix: IPPrefix) -> UInt64 {
        if prefix.isHost, let mark = neighbours[Station(interface: interface, address: prefix.address)] { return mark }
        return holdings.first { $0.interface == interface && $0.prefix.contains(prefix) }?.mark ?? 0
    }

    /// One more than the index of the point of a target; 0 if there is none.
    ///
    /// - Parameter destination: The destination of the entry.
    func mark(_ target: SendTarget, destination: IPPrefix?) -> UInt64 {
        guard !isEmpty else { return 0 }
        switch target.address {
        case .mac(let mac): return mark(target.interface, mac) ?? 0
        case .network(let address): return mark(target.interface, IPPrefix(host: address))
        case .neighbour(let via?): return mark(target.interface, IPPrefix(host: via))
        case .neighbour(nil): return destination.map { mark(target.interface, $0) } ?? 0
        }
    }

    /// True if the destination of an entry, and not the target alone, decides about one of its targets.
    func depend(on destination: IPPrefix?, _ hops: [Hop]) -> Bool {
        guard !isEmpty, destination != nil else { return false }
        return hops.contains { hop in hop.targets.contains { $0.address == .neighbour(via: nil) } }
    }
}
