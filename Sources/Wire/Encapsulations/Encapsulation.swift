/// What stands before a customer's packets on an interface, from the outermost header on.
public struct Encapsulation: Hashable, Sendable {
    /// The device that the frames are on.
    public enum Link: UInt8, Sendable, Hashable, CaseIterable {
        /// Ethernet: a TAP.
        case ethernet
        /// Frame relay: a TUN of link type FRAD.
        case frameRelay
        /// ATM: a TUN of link type ATM.
        case atm
    }

    /// What the innermost header carries.
    public enum Payload: UInt8, Sendable, Hashable, CaseIterable {
        /// The rest of the Ethernet frame: tags alone.
        case tagged
        /// IP packets behind labels.
        case packets
        /// Whole Ethernet frames behind labels (RFC 4448).
        case ethernet
        /// Frame relay with IP packets (RFC 2427).
        case frameRelay
        /// AAL5 with IP packets behind LLC headers (RFC 2684, 5).
        case llc
        /// AAL5 with IP packets alone (RFC 2684, 6).
        case multiplexed
    }

    /// VLAN identifiers, outermost first. The outer one of two has the provider's type 0x88A8.
    public var tags: [Int] = []
    /// The labels of frames that are received. Both stacks are empty, or neither.
    public var labelsIn = LabelStack()
    /// The labels of frames that are sent.
    public var labelsOut = LabelStack()
    /// True if the TTL of labels and of packets is one (the uniform model of RFC 3443).
    public var isUniform = false
    /// What the innermost header carries.
    public var payload = Payload.tagged
    /// True if an Ethernet pseudo-wire has the control word. Other pseudo-wires always have it.
    public var hasControlWord = true
    /// The data link connection identifier of frame relay.
    public var dlci = 0
    /// True if frame relay names protocols by SNAP headers in what is sent.
    public var isSNAP = false
    /// The virtual path of ATM.
    public var path = 0
    /// The virtual channel of ATM.
    public var channel = 0

    /// Nothing stands before packets but Ethernet.
    public init() {}

    /// The device that the frames need.
    public var link: Link {
        guard labelsIn.count == 0, tags.isEmpty else { return .ethernet }
        switch payload {
        case .tagged, .packets, .ethernet: return .ethernet
        case .frameRelay: return .frameRelay
        case .llc, .multiplexed: return .atm
        }
    }

    /// True if the customer's packets are in Ethernet frames with addresses that the customer chooses.
    public var hasEthernet: Bool { payload == .tagged || payload == .ethernet || payload == .packets }

    /// The octets that a packet grows by, beyond its Ethernet header on a TAP, or its own octets on a TUN.
    public var overhead: Int {
        var octets = tags.count * VLANTag.length + labelsOut.count * LabelStack.entryLength
        let isWire = labelsOut.count > 0
        switch payload {
        case .tagged, .packets: break
        case .ethernet: octets += EthernetHeader.length + (hasControlWord ? ControlWord.length : 0)
        case .frameRelay:
            octets += (isWire ? ControlWord.length : FrameRelayHeader.addressLength)
            octets += isSNAP ? FrameRelayHeader.snapLength : FrameRelayHeader.shortLength
        case .llc, .multiplexed:
            octets += isWire ? ControlWord.length : LLCHeader.cellLength
            octets += payload == .llc ? LLCHeader.length : 0
        }
        return octets
    }
}

extension Encapsulation {
    /// Where a packet's network header may be in a frame of a device, in octets from the frame's first one, behind `tun_pi`: labels
    /// and headers of frame relay are not of one length in both directions.
    public var networkOffsets: [Int] {
        guard link == .ethernet else {
            let start = payload == .frameRelay ? FrameRelayHeader.addressLength : LLCHeader.cellLength
            return protocolLengths.map { start + $0 }
        }
        let tagged = EthernetHeader.length + tags.count * VLANTag.length
        guard labelsIn.count > 0 else { return [tagged] }
        let stacks = Set([labelsIn.count, labelsOut.count]).map { $0 * LabelStack.entryLength }
        let word = payload == .packets || payload == .ethernet && !hasControlWord ? 0 : ControlWord.length
        return stacks.flatMap { stack in protocolLengths.map { tagged + stack + word + $0 } }.sorted()
    }

    /// The octets between the control word, or what stands in its place, and the packet.
    private var protocolLengths: [Int] {
        switch payload {
        case .tagged, .packets, .multiplexed: [0]
        case .ethernet: [EthernetHeader.length]
        case .frameRelay: [FrameRelayHeader.shortLength, FrameRelayHeader.snapLength]
        case .llc: [LLCHeader.length]
        }
    }
}

extension Encapsulation: CustomStringConvertible {
    /// As people write it: `vlan 100`, `mpls 16001/16002 ethernet`, `dlci 100`, `atm 1/100 llc`.
    public var description: String {
        var parts: [String] = []
        if tags.count == 1 { parts.append("vlan \(tags[0])") }
        if tags.count == 2 { parts.append("qinq \(tags[0]).\(tags[1])") }
        if labelsIn.count > 0 {
            func text(_ stack: LabelStack) -> String { stack.labels.map(String.init).joined(separator: "+") }
            parts.append("mpls \(text(labelsIn))/\(text(labelsOut))")
        }
        switch payload {
        case .tagged, .packets: break
        case .ethernet: parts.append("ethernet")
        case .frameRelay: parts.append("dlci \(dlci)")
        case .llc: parts.append("atm \(path)/\(channel) llc")
        case .multiplexed: parts.append("atm \(path)/\(channel) vc-mux")
        }
        return parts.joined(separator: " ")
    }
}
