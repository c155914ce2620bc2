/// Why the headers of an encapsulation cannot be read, so that the frame is of no circuit.
public enum EncapsulationFault: UInt8, Error, Sendable, Hashable, CaseIterable {
    /// The frame ends inside a VLAN tag, or before the type behind it.
    case truncatedTag
    /// VLAN 0 (a priority tag) or 4095, which no VLAN has (IEEE 802.1Q, 9.6).
    case reservedVLAN
    /// More than two tags.
    case tooManyTags
    /// The frame ends before the label with the bottom-of-stack bit.
    case truncatedLabelStack
    /// More than `LabelStack.mostEntries` entries, or more than `LabelStack.mostLabels` labels that mean something.
    case labelStackTooDeep
    /// A special-purpose label that does not belong there: all but explicit null and the entropy label's (RFC 7274).
    case reservedLabel
    /// The TTL of the top label is 0 or 1 (RFC 3443, 3.5).
    case labelExpired
    /// The payload is no IPv4 or IPv6 packet, or not the one that explicit null says.
    case notAPacket
    /// The frame ends inside the control word.
    case truncatedControlWord
    /// The first nibble is not 0, a fragment, or a length that the frame does not have (RFC 4385, 3).
    case badControlWord
    /// The frame inside a pseudo-wire is shorter than its header.
    case truncatedPseudoWire
    /// The frame ends inside the Q.922 address, the control octet, the NLPID or the SNAP header.
    case truncatedFrameRelay
    /// The Q.922 address does not have two octets.
    case badFrameRelayAddress
    /// The control octet is not 0x03 (UI), or the NLPID is neither IPv4, IPv6 nor SNAP (RFC 2427).
    case badFrameRelayProtocol
    /// The frame ends inside the cell header, or the LLC/SNAP header.
    case truncatedLLC
    /// Not AA-AA-03-00-00-00 with the type of IPv4 or IPv6 (RFC 2684, 5.1).
    case badLLC
}

extension EncapsulationFault: CustomStringConvertible {
    /// One clause for a person, without a full stop.
    public var description: String {
        switch self {
        case .truncatedTag: "the VLAN tag is cut short"
        case .reservedVLAN: "the VLAN is 0 or 4095"
        case .tooManyTags: "there are more than two VLAN tags"
        case .truncatedLabelStack: "the label stack has no bottom"
        case .labelStackTooDeep:
            "there are more than \(LabelStack.mostEntries) label stack entries, or \(LabelStack.mostLabels) labels"
        case .reservedLabel: "a special-purpose label is where it may not be"
        case .labelExpired: "the TTL of the top label is used up"
        case .notAPacket: "the labels carry neither IPv4 nor IPv6"
        case .truncatedControlWord: "the control word is cut short"
        case .badControlWord: "the control word is not that of a whole frame"
        case .truncatedPseudoWire: "the frame inside the pseudo-wire is cut short"
        case .truncatedFrameRelay: "the frame relay header is cut short"
        case .badFrameRelayAddress: "the frame relay address does not have two octets"
        case .badFrameRelayProtocol: "frame relay carries neither IPv4 nor IPv6"
        case .truncatedLLC: "the ATM or LLC header is cut short"
        case .badLLC: "the LLC header names neither IPv4 nor IPv6"
        }
    }
}
