import Wire

/// Compiles a table into one flat, position-independent run of bytes that engines read through a `Snapshot`.
public enum TableCompiler {
    /// The bytes of a table's snapshot. The same table and generation give the same bytes.
    ///
    /// - Parameters:
    ///   - table: The table that the engine decides by.
    ///   - generation: The number that the table is published under.
    /// - Throws: `TableError` with all problems of the table, including ties among its entries.
    public static func compile(_ table: ForwardingTable, generation: UInt64) throws(TableError) -> [UInt8] {
        try CompiledTable(table).bytes(generation: generation)
    }

    /// The sections of a table's snapshot, and what they were made from.
    ///
    /// - Parameter room: The room for changes that is left in them.
    static func image(
        of table: ForwardingTable, room: SnapshotRoom = .none
    ) throws(TableError) -> (image: SnapshotImage, parts: CompiledParts) {
        let checks = TableChecks(table)
        let sources = PrefixSet(table.entries.map(\.source))
        let destinations = PrefixSet(table.entries.map(\.destination))
        var groups = GroupTable(table.entries, sources: sources, destinations: destinations)
        let problems = checks.problems + checks.accessProblems(table) + groups.problems
        guard problems.isEmpty else { throw TableError(problems: problems) }
        var image = SnapshotImage()
        image.heartbeatToken = table.heartbeatToken
        image.counterCount = (table.entries.lazy.map(\.counter).max() ?? -1) + 1
        let origins = addInterfaces(table, groups, room, to: &image)
        addNeighbours(table, to: &image)
        let joiners = table.reporters
        let claimed = PrefixSet(
            table.claimed.map(\.prefix) + table.holders.map(\.prefix) + joiners.map { IPPrefix(host: $0.group) })
        addPrefixes(sources, destinations, claimed, table, joiners, room, to: &image)
        groups.place(room)
        image[.scopes] = groups.scopeWords
        image[.masks] = groups.masks
        image[.sourcePrefixes] = groups.sourceWords
        image[.destinationPrefixes] = groups.destinationWords
        image[.groupSlots] = groups.slots.words
        image[.groups] = groups.groups
        image[.intervals] = groups.intervals
        image[.fragments] = groups.fragments
        var hops = HopTable(table)
        image[.entries] = hops.words(of: table.withoutMirroredCopies.entries)
        image[.targets] = hops.targets.words
        image[.rewrites] = hops.rewrites.words
        let access = AccessTable(table)
        for (section, words) in access.words { image[section] = words }
        image.ruleCounterCount = table.ruleCounterCount
        addCircuits(table, to: &image)
        addTunnels(table, to: &image)
        image.setGroups(table.groups)
        image.room = room.judging(!table.access.isEmpty)
        return (
            image,
            CompiledParts(
                sources: sources, destinations: destinations, claimed: claimed, scopes: groups.scopes, hops: hops,
                origins: origins, access: access)
        )
    }

    /// The interfaces, their addresses, and the table of MAC addresses.
    ///
    /// - Returns: The lists of the prefixes that nodes may send from.
    private static func addInterfaces(
        _ table: ForwardingTable, _ groups: GroupTable, _ room: SnapshotRoom, to image: inout SnapshotImage
    ) -> OriginLists {
        // The scopes of each interface's entries that match any Ethernet source.
        var open = [(sequencing: UInt32, distribution: UInt32)](repeating: (0, 0), count: table.interfaces.count)
        for (place, key) in groups.scopes.enumerated() where key.mac == nil {
            switch key.kind {
            case .sequencing: open[key.interface].sequencing = UInt32(place + 1)
            case .distribution: open[key.interface].distribution = UInt32(place + 1)
            }
        }
        var addressCount = 0
        var joins = [UInt64](repeating: 0, count: table.interfaces.count)
        for joiner in table.joiners { joins[joiner.interface] |= Layout.interfaceJoins(joiner.group.family) }
        for (index, interface) in table.interfaces.enumerated() {
            let mirrors = table.mirrors.filter { $0.received == index }.map { UInt64($0.send) }
            let firstMirror = image[.mirrors].count
            image[.mirrors] += mirrors
            image[.interfaces] += [
                interface.mac.bits,
                UInt64(low: interface.mtu, high: addressCount) | (interface.namesAll ? Layout.interfaceIsNamed : 0)
                    | joins[index],
                UInt64(low: UInt32(interface.addresses.count), high: open[index].sequencing),
                UInt64(open[index].distribution) | UInt64(mirrors.count) << 32 | UInt64(firstMirror) << 44,
            ]
            addressCount += interface.addresses.count
            for own in interface.addresses {
                let family = UInt64(own.address.family.rawValue)
                image[.addresses] += [own.address.high, own.address.low, family | UInt64(own.length) << 8]
                let isGlobal = own.address.family == .ipv4 || !own.address.isLinkLocal
                let number = UInt32(image[.addresses].count / 3 - 1)
                if isGlobal { image.fallback[own.address.family] = image.fallback[own.address.family] ?? number }
            }
        }
        var origins = OriginLists(room)
        image[.macs] = macSlots(table, groups, &origins).words
        image[.origins] = origins.words
        return origins
    }

    /// The prefixes that lie in no other one, IPv4 first, in ascending order.
    static func disjoint(_ prefixes: [IPPrefix]) -> [IPPrefix] {
        let sorted = prefixes.sorted {
            ($0.family.rawValue, $0.address, $0.length) < ($1.family.rawValue, $1.address, $1.length)
        }
        return sorted.reduce(into: []) { found, prefix in
            if let last = found.last, last.contains(prefix) { return }
            found.append(prefix)
        }
    }

    /// The table of (interface, MAC address): the engine's own, the known sources, and sources that only entries name.
    private static func macSlots(
        _ table: ForwardingTable, _ groups: GroupTable, _ origins: inout OriginLists
    ) -> HashSlots {
        let stations = table.interfaces.reduce(0) { $0 + 1 + $1.aliases.count }
        var legs = 0
        for (place, key) in groups.scopes.enumerated() where key.mac != nil {
            let isAnother =
                place == 0 || groups.scopes[place - 1].mac != key.mac
                || groups.scopes[place - 1].interface != key.interface
            if isAnother { legs += 1 }
        }
        var slots = HashSlots(
            entries: stations + table.sources.count + legs, shape: .placed, empty: [Layout.emptyMAC, 0, 0])
        func slot(_ interface: Int, _ mac: MACAddress) -> Int {
            let key = Layout.macKey(interface: interface, bits: mac.bits)
            let (word, isNew) = slots.slot(hash: Layout.spread(key)) { slots[$0] == key }
            if isNew {
                slots[word] = key
                slots[word + 1] = 0
            }
            return word
        }
        for (index, interface) in table.interfaces.enumerated() {
            for mac in [interface.mac] + interface.aliases { slots[slot(index, mac) + 2] |= Layout.flagOwn }
        }
        for source in table.sources {
            let system = UInt64(source.system.rawValue) << 8
            slots[slot(source.interface, source.mac) + 2] |=
                Layout.flagKnown | system | (source.mayEmit ? Layout.flagMayEmit : 0)
                | (source.isRemoved ? Layout.flagRemoved : 0)
            guard let prefixes = source.origins else { continue }
            slots[slot(source.interface, source.mac) + 2] |= Layout.flagBound | origins.place(of: prefixes)
        }
        for (place, key) in groups.scopes.enumerated() {
            guard let mac = key.mac else { continue }
            let scope = UInt64(place + 1)
            slots[slot(key.interface, mac) + 1] |= key.kind == .sequencing ? scope : scope << 32
        }
        return slots
    }

    /// The table of addresses: named neighbours, and the engine's own.
    private static func addNeighbours(_ table: ForwardingTable, to image: inout SnapshotImage) {
        let own = table.interfaces.reduce(0) { $0 + $1.addresses.count }
        var slots = HashSlots(
            entries: own * 2 + table.neighbours.count, shape: .masked, empty: [0, 0, 0, 0], emptyField: 2)
        func insert(_ role: AddressRole, _ address: IPAddress, interface: Int, value: UInt64) {
            let tag = Layout.addressTag(role, family: address.family.rawValue, interface: interface)
            let hash = Layout.spread(high: address.high, low: address.low, tag: tag)
            let (word, isNew) = slots.slot(hash: hash) {
                slots[$0 + 2] == tag && slots[$0] == address.high && slots[$0 + 1] == address.low
            }
            guard isNew else { return }
            for (field, word) in zip(word..., [address.high, address.low, tag, value]) { slots[field] = word }
        }
        for neighbour in table.neighbours {
            insert(.neighbour, neighbour.address, interface: neighbour.interface, value: neighbour.mac.bits)
        }
        let answered = table.answeredAddresses
        for (index, interface) in table.interfaces.enumerated() {
            for own in interface.addresses {
                let flag = answered[own.address] ?? 0
                insert(.own, own.address, interface: 0, value: UInt64(index) | flag)
                insert(.ownOnInterface, own.address, interface: index, value: UInt64(index))
            }
        }
        image[.addressSlots] = slots.words
    }

    /// The prefixes with their longest-prefix indexes, and the claims.
    private static func addPrefixes(
        _ sources: PrefixSet, _ destinations: PrefixSet, _ claimed: PrefixSet, _ table: ForwardingTable,
        _ joiners: [GroupJoiner], _ room: SnapshotRoom, to image: inout SnapshotImage
    ) {
        image[.claimedPrefixes] = claimed.words
        for kind in PrefixIndexKind.allCases {
            let index =
                switch kind {
                case .source4: PrefixIndex(sources, family: .ipv4, room)
                case .source6: PrefixIndex(sources, family: .ipv6, room)
                case .destination4: PrefixIndex(destinations, family: .ipv4, room)
                case .destination6: PrefixIndex(destinations, family: .ipv6, room)
                case .claimed4: PrefixIndex(claimed, family: .ipv4, room)
                case .claimed6: PrefixIndex(claimed, family: .ipv6, room)
                }
            let slots = kind.isFour ? Section.prefixSlots4 : .prefixSlots6
            image[.prefixIndexes] += [
                UInt64(image[slots].count * 8 / slots.stride), UInt64(index.places),
                UInt64(low: UInt32(index.lengths.count), high: index.fallback),
            ]
            var lengths = [UInt64](repeating: 0, count: (Section.prefixIndexes.stride - Layout.lengthsOffset) / 8)
            for (place, length) in index.lengths.enumerated() {
                lengths[place / 8] |= UInt64(length) << UInt64(place % 8 * 8)
            }
            image[.prefixIndexes] += lengths
            image[slots] += index.words
        }
        var claims = HashSlots(entries: room.with(table.claimed.count), shape: .masked, empty: [0])
        for (claim, prefix) in zip(table.claimed, claimed.identifiers) {
            let key = UInt64(claim.interface + 1) << 32 | UInt64(prefix)
            let (word, _) = claims.slot(hash: Layout.spread(key)) { claims[$0] == key }
            claims[word] = key
        }
        image[.claims] = claims.words
        let movable = table.holders.count { $0.moves }
        var holders = HashSlots(
            entries: room.with(table.holders.count + movable + 2 * joiners.count), shape: .masked,
            empty: [Layout.emptyMAC, 0])
        func hold(_ interface: Int, _ bits: UInt64, _ prefix: UInt32, _ flags: UInt64) {
            let key = Layout.macKey(interface: interface, bits: bits)
            let (word, isNew) = holders.slot(hash: Layout.holderHash(key, prefix)) {
                holders[$0] == key && UInt32(truncatingIfNeeded: holders[$0 + 1]) == prefix
            }
            holders[word] = key
            holders[word + 1] = UInt64(prefix) | flags | (isNew ? 0 : holders[word + 1])
        }
        for (holder, prefix) in zip(table.holders, claimed.identifiers.dropFirst(table.claimed.count)) {
            hold(
                holder.interface, holder.mac.bits, prefix,
                Layout.holderAnnounces | (holder.moves ? Layout.holderMoves : 0))
            if holder.moves { hold(holder.interface, Layout.anyHolder, prefix, Layout.holderMoves) }
        }
        let joining = joiners.isEmpty ? [] : table.joiners
        for (joiner, prefix) in zip(joiners, claimed.identifiers.suffix(joiners.count)) {
            let flag = joining.contains(joiner) ? Layout.holderJoins : Layout.holderReports
            hold(joiner.interface, joiner.mac.bits, prefix, flag)
            hold(joiner.interface, Layout.anyHolder, prefix, Layout.holderJoins)
        }
        image[.holders] = holders.words
    }
}

extension ForwardingTable {
    /// The table without the copies that passive applications get as mirrors anyway.
    var withoutMirroredCopies: ForwardingTable {
        guard !mirrors.isEmpty else { return self }
        let mirrored = Set(mirrors)
        var table = self
        for index in table.entries.indices {
            let received = table.entries[index].receivedInterface
            func isMirrored(_ target: SendTarget) -> Bool {
                target.system == .passiveApplication
                    && mirrored.contains(Mirror(received: received, send: target.interface))
            }
            func remaining(_ hops: [Hop]) -> [Hop] {
                hops.compactMap { hop in
                    switch hop {
                    case .target(let target): isMirrored(target) ? nil : hop
                    case .instance(let group, let targets, let otherwise):
                        if targets.allSatisfy(isMirrored) {
                            nil
                        } else if case .hops(let hops) = otherwise {
                            .instance(group: group, targets: targets, otherwise: .hops(remaining(hops)))
                        } else {
                            hop
                        }
                    case .whether(let group, let up, let down):
                        .whether(group: group, up: remaining(up), down: remaining(down))
                    }
                }
            }
            table.entries[index].hops = remaining(table.entries[index].hops)
        }
        return table
    }
}
