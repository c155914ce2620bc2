import Wire

/// The words of the access lists under construction.
///
/// A point has segments of the own addresses of its lists. A list has four dimensions: the own address, the remote address, the
/// protocol with the own port (or ICMP type), and the protocol with the remote port. Each is cut into segments
/// (`AccessSegments`). So a packet costs a binary search in each dimension, and the intersection of four vectors, whatever
/// the rules are.
///
/// Each list has records of its own, next to each other in each section. So a list changes without the others.
struct AccessTable: Sendable {
    /// Where a list is: its record, and its parts.
    struct Place: Sendable {
        var record: Int
        var own: [IPPrefix]
        var parts: [Section: Range<Int>]
    }

    private(set) var words: [Section: [UInt64]] = [:]
    /// The lists of each point, by tenant.
    private(set) var places: [[String: Place]] = []
    /// The segments of each point's own addresses.
    private(set) var owned: [Range<Int>] = []

    init(_ table: ForwardingTable) {
        guard !table.access.isEmpty else { return }
        // What records of no list lead to (`AccessListWords.unused`).
        words = [
            .accessAddresses: AccessListWords.address(0, 0), .accessPorts: [0],
            .accessVectors: Array(repeating: 0, count: Layout.longestVector),
        ]
        for point in table.access {
            var places: [String: Place] = [:]
            for list in point.lists {
                let made = AccessListWords(list)
                var parts: [Section: Range<Int>] = [:]
                for (section, words) in made.parts {
                    let first = count(section)
                    parts[section] = first..<first + words.count * 8 / section.stride
                }
                places[list.tenant] = Place(record: count(.accessLists), own: list.own, parts: parts)
                for (section, words) in made.placed(at: parts.mapValues(\.lowerBound)) {
                    self.words[section, default: []] += words
                }
            }
            let segments = Self.owned(Array(places.values))
            let first = count(.accessAddresses)
            self.words[.accessAddresses, default: []] += segments.words
            self.words[.accessPoints, default: []] += Self.point(segments, first)
            owned.append(first..<count(.accessAddresses))
            self.places.append(places)
        }
    }

    private func count(_ section: Section) -> Int { words[section, default: []].count * 8 / section.stride }

    /// The segments of the own addresses of both families, each with its list.
    static func owned(_ places: [Place]) -> (words: [UInt64], four: Int, six: Int) {
        let (four, six) = (owned(places, .ipv4), owned(places, .ipv6))
        return (four + six, four.count / 3, six.count / 3)
    }

    /// The record of a point.
    ///
    /// - Parameter first: The record where its segments are.
    static func point(_ segments: (words: [UInt64], four: Int, six: Int), _ first: Int) -> [UInt64] {
        [
            segments.four == 0 ? 0 : UInt64(low: first, high: segments.four),
            segments.six == 0 ? 0 : UInt64(low: first + segments.four, high: segments.six),
        ]
    }

    private static func owned(_ places: [Place], _ family: AddressFamily) -> [UInt64] {
        var pieces: [(numbers: ClosedRange<UInt128>, record: Int)] = []
        for place in places {
            for prefix in TableCompiler.disjoint(place.own) where prefix.family == family {
                pieces.append((prefix.numbers, place.record))
            }
        }
        guard !pieces.isEmpty else { return [] }
        pieces.sort { $0.numbers.lowerBound < $1.numbers.lowerBound }
        var words: [UInt64] = []
        var next: UInt128? = 0
        for piece in pieces {
            // The addresses between are no list's own.
            if let gap = next, gap < piece.numbers.lowerBound { words += AccessListWords.address(gap, 0) }
            words += AccessListWords.address(piece.numbers.lowerBound, UInt64(piece.record + 1))
            next = piece.numbers.upperBound == .max ? nil : piece.numbers.upperBound + 1
        }
        if let next { words += AccessListWords.address(next, 0) }
        return words
    }
}

/// The words of one access list. What they refer to is counted from the list's own first record of a section.
struct AccessListWords {
    private var rules: [UInt64] = []
    /// The segments of remote and of own addresses.
    private var addresses: [UInt64] = []
    private var ports: [UInt64] = []
    private var vectors = SharedRecords(width: 1)
    /// The first of each dimension's segments, and how many they are, in the order of the list's record.
    private var dimensions: [(section: Section, first: Int, count: Int)] = []
    private let otherwise: UInt64
    private let size: Int

    init(_ list: AccessList) {
        size = (list.rules.count + 63) / 64
        otherwise = Self.word(list.otherwise, list.counter)
        for rule in list.rules { rules.append(Self.word(rule.action, rule.counter)) }
        for family in [AddressFamily.ipv4, .ipv6] {
            addAddresses(list, family) { ($0.remote ?? .everything(family)).numbers }
        }
        addPorts(list.rules.enumerated().flatMap { ownRanges($0.element, $0.offset) })
        addPorts(list.rules.enumerated().flatMap { remoteRanges($0.element, $0.offset) })
        for family in [AddressFamily.ipv4, .ipv6] { addAddresses(list, family) { $0.own.numbers } }
    }

    /// The words of the list's parts, with places that are not its own yet.
    var parts: [(section: Section, words: [UInt64])] {
        [
            (.accessRules, rules), (.accessAddresses, addresses), (.accessPorts, ports),
            // A vector is read up to its last word, and checked as if it were the longest.
            (.accessVectors, vectors.words + Array(repeating: 0, count: Layout.longestVector)),
        ]
    }

    /// The words of the list at its place, with its record.
    ///
    /// - Parameter first: The first record of each part.
    func placed(at first: [Section: Int]) -> [(section: Section, words: [UInt64])] {
        let base = UInt64(first[.accessVectors, default: 0]) << 32
        var record = [UInt64(low: first[.accessRules, default: 0], high: rules.count), otherwise]
        for dimension in dimensions {
            record.append(UInt64(low: first[dimension.section, default: 0] + dimension.first, high: dimension.count))
        }
        return parts.map { section, words in
            switch section {
            case .accessAddresses: (section, words.enumerated().map { $0 % 3 == 2 ? $1 + base : $1 })
            case .accessPorts: (section, words.map { $0 + base })
            default: (section, words)
            }
        } + [(.accessLists, record)]
    }

    /// The record of no list. It has no rules, and a segment in each dimension.
    static let unused: [UInt64] = [0, 0] + Array(repeating: UInt64(low: 0, high: 1), count: 6)

    static func address(_ start: UInt128, _ tail: UInt64) -> [UInt64] {
        [UInt64(truncatingIfNeeded: start >> 64), UInt64(truncatingIfNeeded: start), tail]
    }

    private static func word(_ action: AccessRule.Action, _ counter: Int) -> UInt64 {
        let kind: UInt32 =
            switch action {
            case .allow: Layout.accessAllows
            case .deny(let denial): UInt32(denial.rawValue)
            }
        return UInt64(low: UInt32(counter), high: kind)
    }

    // MARK: - Dimensions

    private mutating func share(_ vector: [UInt64]) -> Int { vector.isEmpty ? 0 : vectors.share(vector) }

    private mutating func addAddresses(
        _ list: AccessList, _ family: AddressFamily, _ numbers: (AccessRule) -> ClosedRange<UInt128>
    ) {
        let ranges = list.rules.enumerated().filter { $0.element.own.family == family }
            .map { (numbers($0.element), $0.offset) }
        let start = addresses.count / 3
        for segment in AccessSegments<UInt128>(ranges, words: size).segments {
            addresses += Self.address(segment.start, UInt64(share(segment.vector)) << 32)
        }
        dimensions.append((.accessAddresses, start, addresses.count / 3 - start))
    }

    private mutating func addPorts(_ ranges: [(ClosedRange<UInt32>, Int)]) {
        let start = ports.count
        for segment in AccessSegments<UInt32>(ranges, words: size).segments {
            ports.append(UInt64(low: segment.start, high: UInt32(share(segment.vector))))
        }
        dimensions.append((.accessPorts, start, ports.count - start))
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
