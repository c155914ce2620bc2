import Wire

/// A compiled table as the engine reads it: a view of bytes that were checked once, in full, when it was made. No
/// method allocates. None reads outside those bytes, whatever the packet is.
///
/// The caller keeps the bytes mapped and unchanged as long as any copy of the snapshot is in use.
public struct Snapshot: @unchecked Sendable {
    @usableFromInline let bytes: UnsafeRawBufferPointer
    /// The number that the table was published under.
    public let generation: UInt64
    /// The number of interfaces.
    public let interfaceCount: Int
    /// The number of entries.
    public let entryCount: Int
    /// One more than the highest index of a counter.
    public let counterCount: Int
    /// One more than the highest index of a counter of access lists.
    public let ruleCounterCount: Int

    // Offsets of the sections from the first byte, and the masks of the hash tables.
    @usableFromInline let interfaces: Int
    @usableFromInline let addresses: Int
    @usableFromInline let macs: Int
    @usableFromInline let macCount: UInt64
    @usableFromInline let addressSlots: Int
    @usableFromInline let addressMask: UInt64
    @usableFromInline let scopes: Int
    @usableFromInline let masks: Int
    @usableFromInline let prefixIndexes: Int
    @usableFromInline let prefixSlots4: Int
    @usableFromInline let prefixSlots6: Int
    @usableFromInline let sourcePrefixes: Int
    @usableFromInline let destinationPrefixes: Int
    @usableFromInline let claimedPrefixes: Int
    @usableFromInline let claims: Int
    @usableFromInline let claimMask: UInt64
    @usableFromInline let mirrors: Int
    @usableFromInline let holders: Int
    @usableFromInline let holderMask: UInt64
    @usableFromInline let groupSlots: Int
    @usableFromInline let groupSlotCount: UInt64
    @usableFromInline let groups: Int
    @usableFromInline let intervals: Int
    @usableFromInline let fragments: Int
    @usableFromInline let entries: Int
    @usableFromInline let rewrites: Int
    @usableFromInline let targets: Int
    /// The base of `instanceGroups` and `instanceSlots`: `bytes`, or the groups' own memory.
    @usableFromInline let groupBytes: UnsafeRawBufferPointer
    @usableFromInline let instanceGroups: Int
    @usableFromInline let instanceSlots: Int
    @usableFromInline let origins: Int
    @usableFromInline let accessPoints: Int
    @usableFromInline let accessPointCount: Int
    @usableFromInline let accessLists: Int
    @usableFromInline let accessRules: Int
    @usableFromInline let accessAddresses: Int
    @usableFromInline let accessPorts: Int
    @usableFromInline let accessVectors: Int
    let circuits: Int
    let circuitPlaces: Int
    /// The number of interfaces that are circuits of others.
    public let circuitCount: Int
    let tunnels: Int
    let tunnelPlaces: Int
    /// The number of interfaces that are tunnels over others.
    public let tunnelCount: Int
    /// The last eight octets (big-endian) of the health checks' own packets; 0 if there are none.
    public let heartbeatToken: UInt64
    /// True if nodes on some interface may join groups, so that the engine asks for their groups.
    public let asksGroups: Bool
    /// The number of groups of instances.
    public let groupCount: Int

    /// Checks every offset, count and index of `bytes`. The time grows with their number.
    ///
    /// - Parameters:
    ///   - bytes: The output of `TableCompiler.compile`, at an address that is a multiple of 8.
    ///   - resting: Called after every ten thousand records or so, so that other work gets the processor.
    /// - Throws: `SnapshotError`: the first rule that the bytes break.
    public init(
        validating bytes: UnsafeRawBufferPointer, resting: @escaping () -> Void = {}
    ) throws(SnapshotError) {
        self.init(bytes, try SnapshotValidation.checked(bytes, resting: resting).layout)
    }

    /// A view of checked bytes.
    init(_ bytes: UnsafeRawBufferPointer, _ layout: CheckedLayout) {
        self.bytes = bytes
        groupBytes = bytes
        generation = layout.generation
        interfaceCount = layout.count(.interfaces)
        entryCount = layout.count(.entries)
        counterCount = layout.counterCount
        ruleCounterCount = layout.ruleCounterCount
        interfaces = layout.offset(.interfaces)
        addresses = layout.offset(.addresses)
        macs = layout.offset(.macs)
        macCount = UInt64(layout.count(.macs))
        addressSlots = layout.offset(.addressSlots)
        addressMask = layout.mask(.addressSlots)
        scopes = layout.offset(.scopes)
        masks = layout.offset(.masks)
        prefixIndexes = layout.offset(.prefixIndexes)
        prefixSlots4 = layout.offset(.prefixSlots4)
        prefixSlots6 = layout.offset(.prefixSlots6)
        sourcePrefixes = layout.offset(.sourcePrefixes)
        destinationPrefixes = layout.offset(.destinationPrefixes)
        claimedPrefixes = layout.offset(.claimedPrefixes)
        claims = layout.offset(.claims)
        claimMask = layout.mask(.claims)
        mirrors = layout.offset(.mirrors)
        holders = layout.offset(.holders)
        holderMask = layout.mask(.holders)
        groupSlots = layout.offset(.groupSlots)
        groupSlotCount = UInt64(layout.count(.groupSlots))
        groups = layout.offset(.groups)
        intervals = layout.offset(.intervals)
        fragments = layout.offset(.fragments)
        entries = layout.offset(.entries)
        rewrites = layout.offset(.rewrites)
        targets = layout.offset(.targets)
        instanceGroups = layout.offset(.instanceGroups)
        instanceSlots = layout.offset(.instanceSlots)
        origins = layout.offset(.origins)
        accessPoints = layout.offset(.accessPoints)
        accessPointCount = layout.count(.accessPoints)
        accessLists = layout.offset(.accessLists)
        accessRules = layout.offset(.accessRules)
        accessAddresses = layout.offset(.accessAddresses)
        accessPorts = layout.offset(.accessPorts)
        accessVectors = layout.offset(.accessVectors)
        circuits = layout.offset(.circuits)
        circuitPlaces = layout.offset(.circuitPlaces)
        circuitCount = layout.count(.circuits)
        tunnels = layout.offset(.tunnels)
        tunnelPlaces = layout.offset(.tunnelPlaces)
        tunnelCount = layout.count(.tunnels)
        heartbeatToken = layout.heartbeatToken
        var flags: UInt64 = 0
        for index in 0..<layout.count(.interfaces) {
            flags |= bytes.load(fromByteOffset: layout.offset(.interfaces) + index * 32 + 8, as: UInt64.self)
        }
        asksGroups = flags & (Layout.interfaceJoins(.ipv4) | Layout.interfaceJoins(.ipv6)) != 0
        groupCount = layout.count(.instanceGroups)
    }

    @inlinable @inline(__always)
    func word(_ offset: Int) -> UInt64 {
        bytes.load(fromByteOffset: offset, as: UInt64.self)
    }

    /// Like `word`, but in the memory of the groups.
    @inlinable @inline(__always)
    func groupWord(_ offset: Int) -> UInt64 {
        groupBytes.load(fromByteOffset: offset, as: UInt64.self)
    }

    @inlinable @inline(__always)
    static func lowHalf(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word) }

    @inlinable @inline(__always)
    static func highHalf(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word >> 32) }

    /// The entry at `index`, in the order of the `ForwardingTable`; `index` is less than `entryCount`.
    @inlinable
    public func entry(_ index: Int) -> EntryRecord {
        precondition(index >= 0 && index < entryCount)
        let record = entries &+ index &* 16
        let range = word(record)
        let first = Int(Self.lowHalf(range))
        let tail = word(record &+ 8)
        let family = UInt8(truncatingIfNeeded: tail >> 28 & 0xF)
        var rewrite: IPAddress?
        if family == 4 {
            rewrite = IPAddress(ipv4: Self.highHalf(tail))
        } else if family != 0 {
            let address = rewrites &+ Int(Self.highHalf(tail)) &* 16
            rewrite = IPAddress(ipv6High: word(address), low: word(address &+ 8))
        }
        return EntryRecord(
            targets: Range(uncheckedBounds: (first, first &+ Int(Self.highHalf(range) & Layout.entryTargetsMask))),
            rewriteSource: rewrite,
            counter: Int(tail & 0xFF_FFFF),
            direction: tail >> 24 & 1 == 0 ? .request : .response,
            kind: tail >> 25 & 1 == 0 ? .sequencing : .distribution,
            outerShift: PortShift(UInt16(truncatingIfNeeded: range >> Layout.entryShiftShift)))
    }

    /// The copy at `index`, for which `hop` returned `target`.
    @inlinable
    public func target(_ index: Int) -> TargetRecord {
        let record = targets &+ index &* 32
        let head = word(record)
        let family = UInt8(truncatingIfNeeded: head >> 48)
        let low = word(record &+ 24)
        let network = IPAddress(family: family == 6 ? .ipv6 : .ipv4, high: word(record &+ 16), low: low)
        let address: SendAddress
        switch UInt8(truncatingIfNeeded: head >> 32) {
        case Layout.kindMAC: address = .mac(MACAddress(bits: low))
        case Layout.kindNetwork: address = .network(network)
        default: address = .neighbour(via: family == 0 ? nil : network)
        }
        return TargetRecord(
            interface: Int(UInt16(truncatingIfNeeded: head)),
            address: address,
            sourceMAC: MACAddress(bits: word(record &+ 8)),
            system: DestinationSystemType(rawValue: UInt8(truncatingIfNeeded: head >> 40)) ?? .router,
            whileJoined: head & Layout.targetWhileJoined != 0,
            portShift: PortShift(UInt16(truncatingIfNeeded: head >> Layout.targetShiftShift)))
    }

    /// The range of places for `mirror(_:)`: the interfaces that get every frame that arrives on an interface.
    @inlinable @inline(__always)
    public func mirrors(of interface: Int) -> Range<Int> {
        let word = word(interfaces &+ interface &* 32 &+ 24)
        let first = Int(truncatingIfNeeded: word >> 44)
        return Range(uncheckedBounds: (first, first &+ Int(truncatingIfNeeded: word >> 32 & 0xFFF)))
    }

    /// The interface at a place that `mirrors(of:)` returned.
    @inlinable
    public func mirror(_ place: Int) -> Int {
        Int(truncatingIfNeeded: word(mirrors &+ place &* 8))
    }

    /// The interface at `index`, which is less than `interfaceCount`.
    @inlinable
    public func interface(_ index: Int) -> InterfaceRecord {
        precondition(index >= 0 && index < interfaceCount)
        let record = interfaces &+ index &* 32
        return InterfaceRecord(
            mac: MACAddress(bits: word(record)), mtu: Int(Self.lowHalf(word(record &+ 8) & ~Layout.interfaceFlags)))
    }
}
