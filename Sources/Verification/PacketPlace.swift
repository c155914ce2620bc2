import Forwarding
import LinuxNetwork
import Plan
import Wire

/// Where packets are in the frames of a node's device: behind an Ethernet header, or behind the headers of a circuit.
struct PacketPlace: Sendable, Hashable {
    /// The kind of the device.
    let link: Encapsulation.Link
    /// Where network headers may be, in octets from the frame's first one; empty for plain Ethernet.
    private let offsets: [Int]
    private let isTagged: Bool

    /// Plain Ethernet.
    static let plain = PacketPlace(nil)

    /// The place of a leg's packets.
    init(_ plan: AppliancePlan, _ leg: LegPlan) {
        self.init(plan.table.interfaces[leg.interface].circuit?.encapsulation)
    }

    private init(_ encapsulation: Encapsulation?) {
        link = encapsulation?.link ?? .ethernet
        offsets = encapsulation?.networkOffsets ?? []
        isTagged = encapsulation?.tags.isEmpty == false
    }

    /// What a filter of the kernel must find, in the order in which it needs longer frames. The kernel takes the outer tag off before
    /// its filters run, or after.
    func matches(_ matches: [FrameMatch]) -> [FrameMatch] {
        guard !offsets.isEmpty else { return matches }
        let places = Set(offsets + (isTagged ? offsets.map { $0 - VLANTag.length } : []))
        return places.flatMap { place in
            matches.map { match in
                var match = match
                match.network = place
                return match
            }
        }.sorted { ($0.network ?? 0) + $0.offset < ($1.network ?? 0) + $1.offset }
    }

    /// The packets that the frame may have, each behind an Ethernet header; none if it has none.
    func packets(in frame: UnsafeRawBufferPointer) -> [[UInt8]] {
        guard !offsets.isEmpty else { return [Array(frame)] }
        return offsets.compactMap { offset in
            guard offset < frame.count else { return nil }
            let type: [UInt8]
            switch frame[offset] >> 4 {
            case 4: type = [0x08, 0x00]
            case 6: type = [0x86, 0xDD]
            default: return nil
            }
            return [UInt8](repeating: 0, count: EthernetView.length - 2) + type + frame[offset...]
        }
    }

    /// True if frames have Ethernet headers and nothing else before their packets.
    var isPlain: Bool { offsets.isEmpty }

    /// The link type of captures of the device.
    var linkType: UInt16 {
        switch link {
        case .ethernet: 1
        case .frameRelay: 107
        case .atm: 123
        }
    }
}
