/// A host's valid report of the groups that it is in, or its leaving of one: IGMP (RFC 1112, 2236 and 3376) or MLD (RFC
/// 2710 and 3810).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +---------------+---------------+-------------------------------+
///     |     type      |   max resp    |           checksum            |
///     +---------------+---------------+-------------------------------+
///     |  IGMPv1, v2: the group. MLDv1: two words, then the group.     |
///     |  IGMPv3, MLDv2: reserved (16), number of group records (16)   |
///     +---------------+---------------+-------------------------------+
///     |  record type  | aux data, / 4 |       number of sources       |
///     +---------------+---------------+-------------------------------+
///     |  the group (4 or 16 octets), the sources, the auxiliary data  |
///     +---------------------------------------------------------------+
public struct GroupMessage: Sendable, Equatable {
    /// What a host says about one group.
    public struct Record: Sendable, Equatable {
        /// The group.
        public var group: IPAddress
        /// True if the host wants the group's packets, from any source or from some; false if it wants none any more;
        /// nil if the record only takes some sources away.
        public var joins: Bool?
    }

    /// The most records that one message may hold. Reports of real hosts have fewer, even in the largest frame.
    public static let mostRecords = 512

    private static let queryIGMP: UInt8 = 0x11
    private static let reportIGMPv1: UInt8 = 0x12
    private static let reportIGMPv2: UInt8 = 0x16
    private static let leaveIGMPv2: UInt8 = 0x17
    private static let reportIGMPv3: UInt8 = 0x22
    private static let queryMLD: UInt8 = 130
    private static let reportMLDv1: UInt8 = 131
    private static let doneMLDv1: UInt8 = 132
    private static let reportMLDv2: UInt8 = 143

    /// The fields of a group record.
    private enum RecordField {
        static let type = HeaderField<UInt8>(0)
        /// In units of four octets.
        static let auxiliary = HeaderField<UInt8>(1)
        static let sources = HeaderField<UInt16>(2)
        static let length = 4
    }

    private let family: AddressFamily
    private let type: UInt8
    private var offset: Int
    private let end: Int
    private var left: Int

    /// True if a packet is a report or a leaving of groups, valid or not. Queries are none.
    public static func isOne(_ fields: PacketFields, _ frame: RawSpan) -> Bool {
        guard fields.fragment == .whole, fields.end <= frame.byteCount, fields.transportOffset < fields.end else {
            return false
        }
        switch fields.family {
        case .ipv4:
            return fields.transportProtocol == IPProtocol.igmp
                && frame.unchecked(HeaderField<UInt8>(0), at: fields.transportOffset) != queryIGMP
        case .ipv6:
            return fields.message != .none
                && [reportMLDv1, doneMLDv1, reportMLDv2].contains(fields.icmpType)
        }
    }

    /// Reads and validates a frame that `fields` was parsed from, and for which `isOne` is true.
    ///
    /// - Parameter checksum: A partial one is not verified.
    /// - Throws: `badGroupMessage` for messages that the standards say to discard, and for those whose records do not
    ///   fit the packet.
    public init(_ frame: RawSpan, _ fields: PacketFields, checksum: ChecksumState = .full) throws(MalformedReason) {
        let start = fields.transportOffset
        guard fields.hopLimit == 1, fields.fragment == .whole, fields.end <= frame.byteCount,
            fields.flow.destination.isMulticast, fields.end - start >= 8
        else { throw .badGroupMessage }
        family = fields.family
        end = fields.end
        type = frame.unchecked(HeaderField<UInt8>(0), at: start)
        switch family {
        case .ipv4:
            guard InternetChecksum.sum(frame, start..<end) == 0xFFFF else { throw .badGroupMessage }
        case .ipv6:
            guard fields.flow.source.isLinkLocal || fields.flow.source.isUnspecified, fields.icmpCode == 0,
                checksum == .partial || fields.controlChecksumIsValid(frame)
            else { throw .badGroupMessage }
        }
        switch type {
        case Self.reportIGMPv3 where family == .ipv4, Self.reportMLDv2 where family == .ipv6:
            left = Int(frame.unchecked(HeaderField<UInt16>(6), at: start))
            offset = start + 8
        case Self.reportIGMPv1 where family == .ipv4, Self.reportIGMPv2 where family == .ipv4,
            Self.leaveIGMPv2 where family == .ipv4:
            left = 1
            offset = start + 4
        case Self.reportMLDv1 where family == .ipv6, Self.doneMLDv1 where family == .ipv6:
            guard end - start >= 24 else { throw .badGroupMessage }
            left = 1
            offset = start + 8
        default: throw .badGroupMessage
        }
        guard left <= Self.mostRecords else { throw .badGroupMessage }
        // Nothing of a message counts that ends too early, so all is read once before.
        var reader = self
        while reader.left > 0 {
            guard let record = reader.next(frame), record.group.isMulticast else { throw .badGroupMessage }
        }
        if !isVersionTwo, let record = reader.first(frame, at: offset), type != Self.leaveIGMPv2,
            type != Self.doneMLDv1
        {
            // A report goes to the group that it is about (RFC 2236, section 9; RFC 2710, section 4).
            guard record == fields.flow.destination else { throw .badGroupMessage }
        }
    }

    private var isVersionTwo: Bool { type == Self.reportIGMPv3 || type == Self.reportMLDv2 }

    private func first(_ frame: RawSpan, at offset: Int) -> IPAddress? {
        let length = family == .ipv4 ? 4 : 16
        guard end - offset >= length else { return nil }
        return family == .ipv4
            ? IPAddress(ipv4: frame.unchecked(HeaderField<UInt32>(0), at: offset))
            : frame.unchecked(HeaderField<IPAddress>(0), at: offset)
    }

    /// The next record of the same frame; nil behind the last one, and where the rest is too short.
    public mutating func next(_ frame: RawSpan) -> Record? {
        guard left > 0, end <= frame.byteCount else { return nil }
        left -= 1
        guard isVersionTwo else {
            guard let group = first(frame, at: offset) else { return nil }
            return Record(group: group, joins: type != Self.leaveIGMPv2 && type != Self.doneMLDv1)
        }
        let length = family == .ipv4 ? 4 : 16
        guard end - offset >= RecordField.length + length else { return nil }
        let kind = frame.unchecked(RecordField.type, at: offset)
        let sources = Int(frame.unchecked(RecordField.sources, at: offset))
        let size =
            RecordField.length + length + sources * length
            + Int(frame.unchecked(RecordField.auxiliary, at: offset)) * 4
        guard size <= end - offset, let group = first(frame, at: offset + RecordField.length) else { return nil }
        offset += size
        switch kind {
        // MODE_IS_INCLUDE, CHANGE_TO_INCLUDE_MODE: from these sources alone.
        case 1, 3: return Record(group: group, joins: sources > 0)
        // MODE_IS_EXCLUDE, CHANGE_TO_EXCLUDE_MODE, ALLOW_NEW_SOURCES.
        case 2, 4, 5: return Record(group: group, joins: true)
        // BLOCK_OLD_SOURCES, and types that are not known (RFC 3376, section 4.2.12: ignore the record).
        default: return Record(group: group, joins: nil)
        }
    }
}

/// The question that a querier asks all hosts of a link: which groups are you in?
///
/// It is one of version 3 of IGMP (RFC 3376, section 4.1) or of version 2 of MLD (RFC 3810, section 5.1), to all hosts,
/// with the Router Alert option, a hop limit of 1, and times as the standards have them by default.
public enum GroupQuery {
    /// How often a querier asks: 125 s.
    public static let interval: UInt64 = 125_000_000_000
    /// The time within which hosts answer: 10 s.
    public static let response: UInt64 = 10_000_000_000
    /// The time after which a member that says nothing is none any more: twice the interval and the response.
    public static let membership: UInt64 = 2 * interval + response

    /// The octets of a query's frame.
    public static func frameLength(_ family: AddressFamily) -> Int {
        family == .ipv4 ? EthernetView.length + 24 + 12 : EthernetView.length + IPv6View.length + 8 + 28
    }

    /// Writes a general query.
    ///
    /// - Parameters:
    ///   - mac: The Ethernet source.
    ///   - source: The querier's address; link-local for IPv6. 0.0.0.0 is allowed (RFC 4541, section 2.1.1).
    /// - Returns: The frame's length; 0 where `frame` has no room for it.
    public static func write(into frame: inout MutableRawSpan, from mac: MACAddress, _ source: IPAddress) -> Int {
        let length = frameLength(source.family)
        guard frame.byteCount >= length else { return 0 }
        // S, QRV 2, QQIC 125 s (RFC 3376, 4.1.7).
        let tail: UInt32 = 0x027D_0000
        for place in 0..<length { put(UInt8(0), place, &frame) }
        put(UInt32(truncatingIfNeeded: mac.bits &>> 16), 6, &frame)
        put(UInt16(truncatingIfNeeded: mac.bits), 10, &frame)
        switch source.family {
        case .ipv4:
            put(UInt32(0x0100_5E00), 0, &frame)
            put(UInt16(1), 4, &frame)
            put(EtherType.ipv4, 12, &frame)
            // Precedence "internetwork control", 36 octets, TTL 1, IGMP, the Router Alert option behind the addresses.
            put(UInt32(0x46C0_0024), 14, &frame)
            put(UInt32(0x0102_0000), 22, &frame)
            put(UInt32(truncatingIfNeeded: source.low), 26, &frame)
            put(UInt32(0xE000_0001), 30, &frame)
            put(UInt32(0x9404_0000), 34, &frame)
            put(~InternetChecksum.sum(frame.bytes, 14..<38), 24, &frame)
            put(UInt32(0x1164_0000), 38, &frame)
            put(tail, 46, &frame)
            put(~InternetChecksum.sum(frame.bytes, 38..<50), 40, &frame)
        case .ipv6:
            put(UInt32(0x3333_0000), 0, &frame)
            put(UInt16(1), 4, &frame)
            put(EtherType.ipv6, 12, &frame)
            let all = IPAddress(ipv6High: 0xFF02 << 48, low: 1)
            put(UInt32(0x6000_0000), 14, &frame)
            // 36 octets, hop-by-hop options, hop limit 1.
            put(UInt32(0x0024_0001), 18, &frame)
            put(source.high, 22, &frame)
            put(source.low, 30, &frame)
            put(all.high, 38, &frame)
            put(all.low, 46, &frame)
            // ICMPv6 follows; Router Alert for MLD, PadN.
            put(UInt64(0x3A00_0502_0000_0100), 54, &frame)
            put(UInt64(0x8200_0000_2710_0000), 62, &frame)
            put(tail, 86, &frame)
            let pseudo = InternetChecksum.pseudoHeader(
                source: source, destination: all, protocolNumber: IPProtocol.icmpv6, length: 28)
            put(~InternetChecksum.sum(frame.bytes, 62..<90, adding: pseudo), 64, &frame)
        }
        return length
    }

    /// Stores an integer, big-endian.
    @inline(__always)
    private static func put<Value: FixedWidthInteger & BitwiseCopyable>(
        _ value: Value, _ place: Int, _ frame: inout MutableRawSpan
    ) {
        frame.storeBytes(of: value.bigEndian, toByteOffset: place, as: Value.self)
    }
}
