import Reporting
import Wire

/// Writes a capture in pcapng (draft-ietf-opsawg-pcapng) into memory, block by block.
///
/// `octets` always ends with a whole block, so a reader that gets them can show each packet at once. Times are in
/// nanoseconds, and all interfaces of a section have one link type and one snap length: tcpdump refuses files whose interfaces
/// differ.
public struct PcapngEncoder: Sendable {
    private var blocks = PcapngBlocks()
    private var interfaces = 0
    private var snapLength = 0
    private var linkType: UInt16 = 1

    /// An encoder without a section: `begin(_:)` comes first.
    public init() {}

    /// What was written since the last `take()`.
    public var octets: [UInt8] { blocks.octets }

    /// How many octets were written since the last `take()`.
    public var count: Int { blocks.octets.count }

    /// Hands over what was written. What follows goes into empty memory.
    public mutating func take() -> [UInt8] {
        let taken = blocks.octets
        blocks.octets.removeAll(keepingCapacity: false)
        return taken
    }

    /// Forgets what was written, and keeps the memory.
    mutating func removeAll() { blocks.octets.removeAll(keepingCapacity: true) }

    /// Begins a section: its header, its interfaces, names. A second one ends the first; its interfaces count from 0.
    ///
    /// - Throws: The sentence for too many interfaces.
    public mutating func begin(_ section: PcapngSection) throws(ApplianceError) {
        guard section.interfaces.count <= PcapngSection.mostInterfaces else {
            throw Self.tooMany(section.interfaces.count)
        }
        blocks.block(.section) { block in
            block.append(UInt32(0x1A2B_3C4D))
            block.append(UInt16(1))
            block.append(UInt16(0))
            // The section's length is not known while it is written.
            block.append(UInt64.max)
            for comment in section.comments { block.option(comment: comment) }
            block.option(2, text: section.hardware)
            block.option(3, text: section.system)
            block.option(4, text: section.application)
            block.endOfOptions()
        }
        interfaces = 0
        snapLength = section.snapLength
        linkType = section.linkType
        for interface in section.interfaces { try add(interface) }
        add(section.names)
    }

    /// Adds an interface to the section; its index is the number of those before it.
    ///
    /// - Throws: The sentence for too many interfaces.
    public mutating func add(_ interface: PcapngInterface) throws(ApplianceError) {
        guard interfaces < PcapngSection.mostInterfaces else { throw Self.tooMany(interfaces + 1) }
        interfaces += 1
        let (snapLength, linkType) = (UInt32(snapLength), linkType)
        blocks.block(.interface) { block in
            block.append(linkType)
            block.append(UInt16(0))
            block.append(snapLength)
            block.option(2, text: interface.name)
            block.option(3, text: interface.description)
            if let address = interface.hardwareAddress { block.option(6, address.octets) }
            // Units of 10⁻⁹ s.
            block.option(9, UInt8(9))
            // The octet before the text says that it is a filter of pcap-filter.
            if !interface.filter.isEmpty { block.option(11, [0] + PcapngText.octets(interface.filter)) }
            block.endOfOptions()
        }
    }

    private static func tooMany(_ count: Int) -> ApplianceError {
        ApplianceError(
            .usage, "a capture holds at most \(PcapngSection.mostInterfaces) places, and this one would have \(count)",
            hint: "name a node, --interface or --service")
    }

    /// Writes a packet. More octets than the section's snap length are left out.
    ///
    /// - Parameter packet: Its interface is one of the section (checked).
    public mutating func add(_ packet: PcapngPacket) {
        precondition(packet.interface >= 0 && packet.interface < interfaces)
        add(packet, packet.octets[...])
    }

    /// Writes a packet with the octets of a frame in place of its own, completed.
    ///
    /// - Parameter packet: Its interface is one of the section (checked).
    mutating func add(_ packet: PcapngPacket, _ frame: OffloadedFrame) {
        precondition(packet.interface >= 0 && packet.interface < interfaces)
        guard frame.octets.count <= snapLength else { return add(packet, frame.completed[...]) }
        let start = blocks.octets.count + Self.octetsBefore
        add(packet, frame.octets)
        blocks.octets.withUnsafeMutableBytes { octets in
            frame.complete(UnsafeMutableRawBufferPointer(rebasing: octets[start..<start + frame.octets.count]))
        }
    }

    /// The octets of a packet's block before those of the packet.
    private static let octetsBefore = 28

    private mutating func add(_ packet: PcapngPacket, _ octets: ArraySlice<UInt8>) {
        let captured = min(octets.count, snapLength)
        let start = blocks.octets.count
        blocks.octets.reserveCapacity(start + captured + 96)
        blocks.append([
            PcapngBlocks.Kind.packet.rawValue, 0, UInt32(packet.interface), UInt32(packet.nanoseconds >> 32),
            UInt32(truncatingIfNeeded: packet.nanoseconds), UInt32(captured),
            UInt32(clamping: max(packet.length, captured)),
        ])
        blocks.append(padding: octets.prefix(captured))
        Self.appendOptions(packet, to: &blocks)
        blocks.close(start)
    }

    private static func appendOptions(_ packet: PcapngPacket, to block: inout PcapngBlocks) {
        let start = block.octets.count
        for comment in packet.comments { block.option(comment: comment) }
        if packet.lostBefore == 0, let direction = packet.direction, let identifier = packet.identifier,
            let worker = packet.worker
        {
            // What nearly every packet has, at once.
            block.append([
                2 | 4 << 16, direction.rawValue, 5 | 8 << 16, UInt32(truncatingIfNeeded: identifier),
                UInt32(identifier >> 32), 6 | 4 << 16, worker, 0,
            ])
            return
        }
        if let direction = packet.direction { block.option(2, direction.rawValue) }
        if packet.lostBefore > 0 { block.option(4, packet.lostBefore) }
        if let identifier = packet.identifier { block.option(5, identifier) }
        if let worker = packet.worker { block.option(6, worker) }
        if block.octets.count > start { block.endOfOptions() }
    }

    /// Writes names of addresses. Of the names of one address, readers show the last.
    public mutating func add(_ names: [PcapngName]) {
        // Blocks of a bounded size: readers refuse large ones.
        for start in stride(from: 0, to: names.count, by: 1024) {
            let some = names[start..<min(names.count, start + 1024)]
            blocks.block(.names) { block in
                for name in some {
                    let text = PcapngText.octets(name.name) + [0]
                    switch name.address {
                    case .network(let address): block.option(address.family == .ipv4 ? 1 : 2, address.octets + text)
                    case .hardware(let address): block.option(3, address.octets + text)
                    }
                }
                block.endOfOptions()
            }
        }
    }

    /// Writes keys of TLS sessions, which readers need before the packets that they decrypt.
    ///
    /// - Parameter lines: Whole lines in the format of SSLKEYLOGFILE.
    public mutating func add(keyLog lines: [UInt8]) {
        guard !lines.isEmpty else { return }
        blocks.block(.secrets) { block in
            block.append(UInt32(0x544C_534B))
            block.append(UInt32(lines.count))
            block.append(padding: lines)
        }
    }

    /// Writes what was counted at an interface, at the end of a section.
    ///
    /// - Parameter statistics: Its interface is one of the section (checked).
    public mutating func add(_ statistics: PcapngStatistics) {
        precondition(statistics.interface >= 0 && statistics.interface < interfaces)
        blocks.block(.statistics) { block in
            block.append(UInt32(statistics.interface))
            block.append(time: statistics.end)
            if let start = statistics.start { block.option(2, time: start) }
            block.option(3, time: statistics.end)
            block.option(4, statistics.received)
            block.option(5, statistics.lost)
            block.endOfOptions()
        }
    }
}

extension PcapngBlocks {
    /// A time: the upper half comes first.
    fileprivate mutating func append(time: UInt64) {
        append(UInt32(time >> 32))
        append(UInt32(truncatingIfNeeded: time))
    }

    /// A time as an option.
    fileprivate mutating func option(_ code: UInt16, time: UInt64) {
        option(code, time << 32 | time >> 32)
    }
}
