import Wire

extension TracedPacketText {
    /// What a person reads of a packet.
    init(_ packet: TracedPacket) {
        let flow = packet.flow
        self.init(
            protocol: Self.name(packet.protocolNumber), source: flow.source.description,
            destination: flow.destination.description, sourcePort: flow.hasPorts ? flow.sourcePort : nil,
            destinationPort: flow.hasPorts ? flow.destinationPort : nil, length: packet.length,
            packets: packet.packets, fragments: 0, detail: Self.detail(packet), sequence: packet.segment?.sequence)
    }

    /// The same packet's text, by that of another one of its flow.
    fileprivate init(_ packet: TracedPacket, like other: TracedPacketText) {
        self = other
        length = packet.length
        packets = packet.packets
        detail = Self.detail(packet)
        sequence = packet.segment?.sequence
    }

    /// `tcp SYN,ACK`, `icmp echo reply`: the protocol and the kind.
    var what: String { detail.isEmpty ? `protocol` : "\(`protocol`) \(detail)" }

    /// The same without the packet's own number: `icmp echo reply`.
    package var kind: String {
        let words = what.split(separator: " ")
        return (Int(words.last ?? "") != nil && words.count > 2 ? words.dropLast() : words[...]).joined(separator: " ")
    }

    /// True for an ICMP error and for a reset.
    package var isRefusal: Bool {
        switch `protocol` {
        case "tcp": detail.split(separator: ",").contains("RST")
        case "icmp", "icmpv6": !detail.hasPrefix("echo") && !detail.hasPrefix("type") && !detail.isEmpty
        default: false
        }
    }

    private static func name(_ number: UInt8) -> String {
        switch number {
        case IPProtocol.tcp: "tcp"
        case IPProtocol.udp: "udp"
        case IPProtocol.icmp: "icmp"
        case IPProtocol.icmpv6: "icmpv6"
        case IPProtocol.sctp: "sctp"
        case IPProtocol.dccp: "dccp"
        case IPProtocol.udpLite: "udplite"
        default: "protocol \(number)"
        }
    }

    private static func detail(_ packet: TracedPacket) -> String {
        if let segment = packet.segment {
            let bits = [
                (TCPView.syn, "SYN"), (TCPView.fin, "FIN"), (TCPView.rst, "RST"), (TCPView.psh, "PSH"),
                (TCPView.ack, "ACK"),
            ]
            return bits.filter { segment.controlBits & $0.0 != 0 }.map(\.1).joined(separator: ",")
        }
        switch packet.message {
        case .echoRequest: return "echo request \(packet.icmpWord & 0xFFFF)"
        case .echoReply: return "echo reply \(packet.icmpWord & 0xFFFF)"
        case .error: return ICMPView.errorName(packet.icmpType, packet.icmpCode, packet.flow.source.family)
        case .other, .neighbourDiscovery: return "type \(packet.icmpType)"
        case .none: return packet.fragment == .whole ? "" : "fragments"
        }
    }
}

/// The texts of flows that packets were of a short time ago: to write addresses takes long.
struct FlowTexts {
    private var texts: [FlowFields: TracedPacketText] = [:]
    private static let most = 1_024

    /// What a person reads of a packet.
    mutating func text(of packet: TracedPacket) -> TracedPacketText {
        if let known = texts[packet.flow] { return TracedPacketText(packet, like: known) }
        if texts.count >= Self.most { texts.removeAll(keepingCapacity: true) }
        let text = TracedPacketText(packet)
        texts[packet.flow] = text
        return text
    }
}
