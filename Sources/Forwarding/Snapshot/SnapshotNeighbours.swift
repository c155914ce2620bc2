import Wire

/// How a service address is claimed on an interface.
@usableFromInline
enum Claim: Sendable {
    case none
    /// The address itself.
    case host
    /// A prefix that contains the address.
    case prefix
    /// 0.0.0.0/0 or ::/0, which claim no particular address.
    case everything
}

extension Snapshot {
    /// True if a frame to `mac` on `interface` is for the engine: its own MAC address there, or an alias of it.
    @inlinable
    public func isOwnMAC(_ mac: MACAddress, on interface: Int) -> Bool {
        guard interface >= 0, interface < interfaceCount else { return false }
        if word(interfaces &+ interface &* 32) == mac.bits { return true }
        var meter = NoMeter()
        let slot = macSlot(interface: interface, bits: mac.bits, meter: &meter)
        return slot >= 0 && word(slot &+ 16) & Layout.flagOwn != 0
    }

    /// True if `address` is one of the engine's own, on any interface. The engine answers echo for these.
    @inlinable
    public func isOwnAddress(_ address: IPAddress) -> Bool {
        address == TableInterface.linkLocal || addressValue(.own, address, interface: 0) != nil
    }

    /// True if the engine itself takes a packet: its destination is one of the engine's own addresses, and it is none that
    /// entries forward to a node that answers: a question for names, or a request for a mapping.
    @inlinable
    public func takes(_ flow: FlowFields) -> Bool {
        guard isOwnAddress(flow.destination) else { return false }
        let bit = Layout.answered(port: flow.destinationPort, flow.protocolNumber)
        guard bit != 0 else { return true }
        return (addressValue(.own, flow.destination, interface: 0) ?? 0) & bit == 0
    }

    /// True if `address` is one of the engine's own on `interface`.
    @inlinable
    public func isOwnAddress(_ address: IPAddress, on interface: Int) -> Bool {
        address == TableInterface.linkLocal || addressValue(.ownOnInterface, address, interface: interface) != nil
    }

    /// The MAC address of a neighbour that the file names.
    @inlinable
    public func staticNeighbour(_ address: IPAddress, on interface: Int) -> MACAddress? {
        addressValue(.neighbour, address, interface: interface).map { MACAddress(bits: $0) }
    }

    /// True if `address` lies in one of the link prefixes of `interface`, fe80::/64 among them.
    @inlinable
    public func isOnLink(_ address: IPAddress, on interface: Int) -> Bool {
        if address.family == .ipv6, address.high == TableInterface.linkLocal.high { return true }
        guard interface >= 0, interface < interfaceCount else { return false }
        for index in addressRange(of: interface) where linkContains(index, address) { return true }
        return false
    }

    /// True if `address` is the broadcast address of one of the engine's IPv4 networks on `interface`.
    public func isLinkBroadcast(_ address: IPAddress, on interface: Int) -> Bool {
        guard address.family == .ipv4, interface >= 0, interface < interfaceCount else { return false }
        for index in addressRange(of: interface) where linkContains(index, address) {
            let length = Int(word(addresses &+ index &* 24 &+ 16) >> 8 & 0xFF)
            if length < 31, address.low | ~0 << UInt64(32 &- length) == ~0 { return true }
        }
        return false
    }

    /// True if the engine answers ARP and neighbour discovery for `address` on `interface`. It answers for its own
    /// addresses there, and for the service addresses that are claimed there. In a claimed prefix, it does not answer
    /// for addresses in the interface's own link prefixes, nor for those of named neighbours.
    public func answersNeighbour(for address: IPAddress, on interface: Int) -> Bool {
        if address.isUnspecified || address.isMulticast || address.isLimitedBroadcast || address.isLoopback {
            return false
        }
        if isOwnAddress(address, on: interface) { return true }
        switch claim(of: address, on: interface) {
        case .none: return false
        case .host: return true
        case .prefix, .everything:
            return !isOnLink(address, on: interface) && staticNeighbour(address, on: interface) == nil
        }
    }

    /// True if `address` lies in a service address that is claimed on `interface`.
    public func isClaimed(_ address: IPAddress, on interface: Int) -> Bool {
        switch claim(of: address, on: interface) {
        case .none: false
        case .host, .prefix, .everything: true
        }
    }

    /// True if the node with `mac` on `interface` may announce `address`: it is a named neighbour with this address, or
    /// it holds a prefix that contains the address.
    public func mayAnnounce(_ address: IPAddress, from mac: MACAddress, on interface: Int) -> Bool {
        staticNeighbour(address, on: interface) == mac
            || holds(address, Layout.macKey(interface: interface, bits: mac.bits), movable: false)
    }

    /// True if `address` moves to the node with `mac` on `interface` as soon as the node announces it.
    public func mayMove(_ address: IPAddress, to mac: MACAddress, on interface: Int) -> Bool {
        staticNeighbour(address, on: interface) == nil
            && holds(address, Layout.macKey(interface: interface, bits: mac.bits), movable: true)
    }

    /// True if `address` moves among nodes on `interface`: no other node may claim it.
    public func isMovable(_ address: IPAddress, on interface: Int) -> Bool {
        holds(address, Layout.macKey(interface: interface, bits: Layout.anyHolder), movable: true)
    }

    /// True if the node with `mac` on `interface` gets the packets of `group` while it is in it.
    public func mayJoin(_ group: IPAddress, _ mac: MACAddress, on interface: Int) -> Bool {
        joins(group, Layout.macKey(interface: interface, bits: mac.bits), Layout.holderJoins)
    }

    /// True if the node with `mac` on `interface` may report `group`, and is in it in any case.
    public func isNamed(_ group: IPAddress, _ mac: MACAddress, on interface: Int) -> Bool {
        joins(group, Layout.macKey(interface: interface, bits: mac.bits), Layout.holderReports)
    }

    /// True if some node on `interface` gets the packets of `group` while it is in it.
    public func isJoinable(_ group: IPAddress, on interface: Int) -> Bool {
        joins(group, Layout.macKey(interface: interface, bits: Layout.anyHolder), Layout.holderJoins)
    }

    private func joins(_ group: IPAddress, _ key: UInt64, _ flag: UInt64) -> Bool {
        var meter = NoMeter()
        // A group is a prefix of full length, the longest that there is.
        let prefix = longestPrefix(.claimed4, .claimed6, group, meter: &meter)
        return prefix != 0 && isHolder(key, of: prefix, flag)
    }

    /// True if nodes on `interface` may join groups of a family.
    @inlinable
    public func asksGroups(on interface: Int, _ family: AddressFamily) -> Bool {
        interface >= 0 && interface < interfaceCount
            && word(interfaces &+ interface &* 32 &+ 8) & Layout.interfaceJoins(family) != 0
    }

    private func holds(_ address: IPAddress, _ key: UInt64, movable: Bool) -> Bool {
        var meter = NoMeter()
        var prefix = longestPrefix(.claimed4, .claimed6, address, meter: &meter)
        while prefix != 0 {
            if isHolder(key, of: prefix, movable ? Layout.holderMoves : Layout.holderAnnounces) { return true }
            prefix = Self.lowHalf(word(claimedPrefixes &+ Int(prefix) &* 8))
        }
        return false
    }

    /// True if a node's claim to `address` on `interface` contradicts the engine's own answers there. That is so if the
    /// address is a service address or lies in one, and the node may not announce it. 0.0.0.0/0 and ::/0 name no
    /// address.
    public func contradictsClaim(_ address: IPAddress, on interface: Int) -> Bool {
        switch claim(of: address, on: interface) {
        case .none, .everything: false
        case .host: true
        case .prefix: !isOnLink(address, on: interface)
        }
    }

    /// The source of an ICMP error about a packet from `source` that came in on `interface`:
    ///
    /// - for link-local IPv6 sources, fe80::1;
    /// - else the engine's first address there on the link of `source`;
    /// - else the engine's first address there;
    /// - else any address of the engine that is not link-local.
    public func ownSource(on interface: Int, towards source: IPAddress) -> IPAddress? {
        guard interface >= 0, interface < interfaceCount else { return nil }
        if source.family == .ipv6, source.isLinkLocal { return TableInterface.linkLocal }
        var first: IPAddress?
        for index in addressRange(of: interface) {
            let address = ownAddress(index)
            guard address.family == source.family else { continue }
            if linkContains(index, source) { return address }
            if first == nil, address.family == .ipv4 || !address.isLinkLocal { first = address }
        }
        if let first { return first }
        let fallbacks = word(40)
        let fallback = source.family == .ipv4 ? Self.lowHalf(fallbacks) : Self.highHalf(fallbacks)
        return fallback == Layout.none ? nil : ownAddress(Int(fallback))
    }

    // MARK: What the functions above use

    @inlinable
    func addressRange(of interface: Int) -> Range<Int> {
        let record = interfaces &+ interface &* 32
        let first = Int(Self.highHalf(word(record &+ 8)))
        return Range(uncheckedBounds: (first, first &+ Int(Self.lowHalf(word(record &+ 16)))))
    }

    @inlinable
    func ownAddress(_ index: Int) -> IPAddress {
        let record = addresses &+ index &* 24
        return IPAddress(
            family: word(record &+ 16) & 0xFF == 4 ? .ipv4 : .ipv6, high: word(record), low: word(record &+ 8))
    }

    @inlinable
    func linkContains(_ index: Int, _ address: IPAddress) -> Bool {
        let own = ownAddress(index)
        guard own.family == address.family else { return false }
        let length = Int(word(addresses &+ index &* 24 &+ 16) >> 8 & 0xFF)
        return own.masked(to: length) == address.masked(to: length)
    }

    @inlinable
    func addressValue(_ role: AddressRole, _ address: IPAddress, interface: Int) -> UInt64? {
        let tag = Layout.addressTag(role, family: address.family.rawValue, interface: interface)
        var index = Layout.spread(high: address.high, low: address.low, tag: tag) & addressMask
        while true {
            let slot = addressSlots &+ Int(truncatingIfNeeded: index) &* 32
            let found = word(slot &+ 16)
            if found == 0 { return nil }
            if found == tag, word(slot &+ 8) == address.low, word(slot) == address.high { return word(slot &+ 24) }
            index = (index &+ 1) & addressMask
        }
    }

    /// The longest claim on `interface` that contains `address`.
    @usableFromInline
    func claim(of address: IPAddress, on interface: Int) -> Claim {
        var meter = NoMeter()
        var prefix = longestPrefix(.claimed4, .claimed6, address, meter: &meter)
        while prefix != 0 {
            let record = word(claimedPrefixes &+ Int(prefix) &* 8)
            if isClaim(prefix, on: interface) {
                let length = Int(Self.highHalf(record))
                return length == 0 ? .everything : length == address.family.width ? .host : .prefix
            }
            prefix = Self.lowHalf(record)
        }
        return .none
    }

    private func isHolder(_ key: UInt64, of prefix: UInt32, _ flag: UInt64) -> Bool {
        var index = Layout.holderHash(key, prefix) & holderMask
        while true {
            let slot = holders &+ Int(truncatingIfNeeded: index) &* 16
            let found = word(slot)
            if found == Layout.emptyMAC { return false }
            if found == key, Self.lowHalf(word(slot &+ 8)) == prefix {
                return word(slot &+ 8) & flag != 0
            }
            index = (index &+ 1) & holderMask
        }
    }

    @usableFromInline
    func isClaim(_ prefix: UInt32, on interface: Int) -> Bool {
        let key = UInt64(truncatingIfNeeded: interface &+ 1) << 32 | UInt64(prefix)
        var index = Layout.spread(key) & claimMask
        while true {
            let found = word(claims &+ Int(truncatingIfNeeded: index) &* 8)
            if found == 0 { return false }
            if found == key { return true }
            index = (index &+ 1) & claimMask
        }
    }
}
