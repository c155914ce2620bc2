import Wire

/// What an application's access lists say about a packet, as the engine needs it. `AccessEvaluator` says the same at length.
public struct AccessVerdict: Sendable, Hashable {
    /// How the sender is told that the packet is denied; nil if it passes.
    public var denial: AccessDenial?
    /// The indices of the counters that count the packet, one for each list that was asked; -1 for none.
    @inlinable public var counters: (first: Int, second: Int) { (Int(firstCounter), Int(secondCounter)) }
    @usableFromInline var firstCounter: Int32 = -1
    @usableFromInline var secondCounter: Int32 = -1

    /// No list was asked: the packet passes.
    @inlinable
    public init() {}

    /// The index of the counter of the rule, or of the default, that denies the packet; -1 if it passes.
    public var denyingCounter: Int { denial == nil ? -1 : Int(secondCounter >= 0 ? secondCounter : firstCounter) }
}

extension Snapshot {
    /// The access point of the target at `index`, for which `hop` returned `target`: one more than its index; 0 if nothing judges the
    /// packets that go there.
    @inlinable @inline(__always)
    public func access(_ index: Int) -> Int {
        let access = Int(truncatingIfNeeded: word(targets &+ index &* 32 &+ 8) >> Layout.targetAccessShift)
        return access == 0 || !hasLists(access) ? 0 : access
    }

    /// True if an access point has lists.
    @inlinable
    func hasLists(_ access: Int) -> Bool {
        guard access <= accessPointCount else { return false }
        let point = accessPoints &+ (access &- 1) &* 16
        return (word(point) | word(point &+ 8)) >> 32 != 0
    }

    /// The access point of the targets that a choice is between, which all lead to one application.
    @inlinable @inline(__always)
    public func access(_ choice: InstanceChoice) -> Int { access(choice.first) }

    /// What the lists of an access point say about a packet.
    ///
    /// - Parameter access: The result of `access(_:)`, at least 1.
    @inlinable
    public func judge(_ packet: AccessPacket, at access: Int) -> AccessVerdict {
        var verdict = AccessVerdict()
        guard access > 0, access <= accessPointCount else { return verdict }
        // Both addresses of a packet are of one family.
        let range = word(accessPoints &+ (access &- 1) &* 16 &+ (packet.source.family == .ipv4 ? 0 : 8))
        if range >> 32 == 0 { return verdict }
        let destination = addressSegment(range, packet.destination)
        let source = addressSegment(range, packet.source)
        let first = Self.lowHalf(destination)
        let second = Self.lowHalf(source)
        if first != 0 {
            let list = accessLists &+ Int(first &- 1) &* 64
            var rule = firstRule(list, packet, ownIsSource: false)
            if second == first {
                rule = min(rule, firstRule(list, packet, ownIsSource: true))
            }
            let action = action(list, rule, packet)
            verdict.firstCounter = Int32(truncatingIfNeeded: action)
            verdict.denial = Self.denial(action)
            if verdict.denial != nil { return verdict }
        }
        if second != 0, second != first {
            let list = accessLists &+ Int(second &- 1) &* 64
            let rule = firstRule(list, packet, ownIsSource: true)
            let action = action(list, rule, packet)
            verdict.secondCounter = Int32(truncatingIfNeeded: action)
            verdict.denial = Self.denial(action)
        }
        return verdict
    }

    /// The index of the first rule of a list that matches a packet in one direction; at least the number of its rules if none does.
    ///
    /// - Parameter list: The offset of the list.
    @inlinable
    func firstRule(_ list: Int, _ packet: AccessPacket, ownIsSource: Bool) -> Int {
        let words = (Int(Self.highHalf(word(list))) &+ 63) / 64
        if words == 0 { return .max }
        let (ownAddress, remoteAddress) =
            ownIsSource ? (packet.source, packet.destination) : (packet.destination, packet.source)
        let isFour = remoteAddress.family == .ipv4
        let remotes = word(list &+ (isFour ? 16 : 24))
        let owns = word(list &+ (isFour ? 48 : 56))
        let (ownNumber, remoteNumber) = Self.numbers(packet, ownIsSource: ownIsSource)
        let first = accessVectors &+ Int(Self.highHalf(addressSegment(owns, ownAddress))) &* 8
        let second = accessVectors &+ Int(Self.highHalf(addressSegment(remotes, remoteAddress))) &* 8
        let third = accessVectors &+ Int(portSegment(word(list &+ 32), ownNumber)) &* 8
        let fourth = accessVectors &+ Int(portSegment(word(list &+ 40), remoteNumber)) &* 8
        var place = 0
        while place < words {
            let offset = place &* 8
            let matches =
                word(first &+ offset) & word(second &+ offset) & word(third &+ offset) & word(fourth &+ offset)
            if matches != 0 { return place &* 64 &+ matches.trailingZeroBitCount }
            place = place &+ 1
        }
        return .max
    }

    /// The protocol of a packet with its own port (or ICMP type), and with its remote port.
    @inlinable @inline(__always)
    static func numbers(_ packet: AccessPacket, ownIsSource: Bool) -> (own: UInt32, remote: UInt32) {
        // Beyond all protocols.
        guard let protocolNumber = packet.protocolNumber else { return (.max, .max) }
        switch packet.upper {
        case .unread:
            let number = Layout.upperUnread(protocolNumber)
            return (number, number)
        case .icmp(let type):
            let number = Layout.upper(protocolNumber, UInt16(type))
            return (number, number)
        case .ports(let source, let destination):
            let (first, second) = (
                Layout.upper(protocolNumber, source), Layout.upper(protocolNumber, destination)
            )
            return ownIsSource ? (first, second) : (second, first)
        }
    }

    /// counter | action<<32 of a rule, or of the list for packets that match none. All ones if an ICMP error passes.
    @inlinable
    func action(_ list: Int, _ rule: Int, _ packet: AccessPacket) -> UInt64 {
        let rules = word(list)
        if rule < Int(Self.highHalf(rules)) { return word(accessRules &+ (Int(Self.lowHalf(rules)) &+ rule) &* 8) }
        return packet.isPassingError ? .max : word(list &+ 8)
    }

    @inlinable @inline(__always)
    static func denial(_ action: UInt64) -> AccessDenial? {
        AccessDenial(rawValue: UInt8(truncatingIfNeeded: action >> 32))
    }

    /// The last word of the segment of an address: its list, or its vector<<32.
    ///
    /// - Parameter range: The first segment | how many there are<<32, at least one. The first begins at 0.
    @inlinable
    func addressSegment(_ range: UInt64, _ address: IPAddress) -> UInt64 {
        var base = accessAddresses &+ Int(Self.lowHalf(range)) &* 24
        var count = Int(Self.highHalf(range))
        while count > 1 {
            let half = count / 2
            let middle = base &+ half &* 24
            let high = word(middle)
            if high < address.high || high == address.high && word(middle &+ 8) <= address.low { base = middle }
            count = count &- half
        }
        return word(base &+ 16)
    }

    /// The first word of the vector of a segment of protocols with ports. The parameters are as for addresses.
    @inlinable
    func portSegment(_ range: UInt64, _ number: UInt32) -> UInt32 {
        var base = accessPorts &+ Int(Self.lowHalf(range)) &* 8
        var count = Int(Self.highHalf(range))
        while count > 1 {
            let half = count / 2
            let middle = base &+ half &* 8
            if Self.lowHalf(word(middle)) <= number { base = middle }
            count = count &- half
        }
        return Self.highHalf(word(base))
    }
}
