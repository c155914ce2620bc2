import Wire

/// What is known again of one packet: the flow, and what no chain rewrites.
///
/// A superframe of UDP is one packet for each of its datagrams. A superframe of TCP is one packet with a longer range of
/// sequence numbers.
struct TracedPacket: Sendable {
    /// The TCP header's part.
    struct Segment: Sendable, Hashable {
        var sequence: UInt32
        var acknowledgment: UInt32
        /// Sequence numbers that it takes: its payload, SYN and FIN.
        var length: Int
        var controlBits: UInt8
        /// The time stamp of RFC 7323, if there is one.
        var timestamp: UInt32?
        /// The payload octets of each segment of a superframe; 0 for one segment.
        var segmentSize: Int

        var isSYN: Bool { controlBits & TCPView.syn != 0 }
        var isRST: Bool { controlBits & TCPView.rst != 0 }
        var hasACK: Bool { controlBits & TCPView.ack != 0 }
        /// The sequence number after its last.
        var end: UInt32 { sequence &+ UInt32(truncatingIfNeeded: length) }
        /// The bits that no application on the way changes.
        var kind: UInt8 { controlBits & (TCPView.syn | TCPView.fin | TCPView.rst) }
    }

    /// The packet that an ICMP error quotes.
    struct Quote: Sendable, Hashable {
        var flow: FlowFields
        /// What tells it from others of its flow: TCP's sequence number, the second word of ICMP, IPv4's identification.
        var number: UInt32
        var hasNumber: Bool

        /// The part of the number that no translation changes.
        var lasting: UInt32 {
            let isICMP = flow.protocolNumber == IPProtocol.icmp || flow.protocolNumber == IPProtocol.icmpv6
            return isICMP ? number & 0xFFFF : number
        }
    }

    /// A superframe that a datagram is in, as a node that does not cut it sees it.
    struct Superframe: Sendable, Hashable {
        var identification: UInt32
        var length: Int
    }

    /// The beginning of a datagram, which whole packets and first fragments show, and which no translation changes.
    struct Start: Sendable, Hashable {
        var protocolNumber: UInt8
        /// TCP's sequence number, the length of the whole UDP datagram, ICMP's type and sequence number.
        var number: UInt32
        /// A hash of the payload's first octets.
        var digest: UInt64
    }

    /// The packet's own flow. First fragments have their ports.
    var flow: FlowFields
    /// The flow that tables are asked for.
    var lookup: FlowFields
    /// IPv4's identification, or that of IPv6's fragment header; 0 if there is none.
    var identification: UInt32 = 0
    var fragment = FragmentPosition.whole
    /// Its place in the datagram behind the network header, in octets.
    var octets: Range<Int> = 0..<0
    /// True for whole packets and last fragments: the datagram ends at `octets.upperBound`.
    var isLast = true
    /// Octets of the upper-layer header.
    var headerLength = 0
    var segment: Segment?
    var message = ICMPMessage.none
    var icmpType: UInt8 = 0
    var icmpCode: UInt8 = 0
    /// The second word of ICMP.
    var icmpWord: UInt32 = 0
    var quote: Quote?
    /// A hash of the payload's first octets; nil if they were not captured.
    var digest: UInt64?
    /// What tells its beginning from others; nil for later fragments, and if too little was captured.
    var start: Start?
    /// The superframe that the datagram is a part of.
    var superframe: Superframe?
    var payloadLength = 0
    /// Segments of a superframe, else 1.
    var packets = 1
    /// Octets of the network packet.
    var length = 0

    var protocolNumber: UInt8 { flow.protocolNumber }

    /// The flow without ports, which all fragments of a datagram share.
    var datagramFlow: FlowFields { flow.withoutPorts }

    /// True if an application that changes addresses and ports leaves enough to be sure of.
    var isDistinct: Bool {
        if let segment { return segment.sequence != 0 }
        if message == .error { return quote?.hasNumber == true }
        return digest != nil && payloadLength >= 4
    }
}

extension FlowFields {
    /// The addresses and the protocol alone.
    var withoutPorts: FlowFields {
        var flow = self
        flow.hasPorts = false
        flow.sourcePort = 0
        flow.destinationPort = 0
        return flow
    }
}

/// What is the same before and behind an application that changes addresses and ports.
struct ContentKey: Hashable, Sendable {
    var protocolNumber: UInt8
    var kind: UInt32
    var number: UInt64
    var length: Int

    /// nil for a packet that cannot be known without its flow.
    init?(_ packet: TracedPacket) {
        guard packet.fragment == .whole else { return nil }
        protocolNumber = packet.protocolNumber
        if let segment = packet.segment {
            kind = UInt32(segment.kind)
            number = UInt64(segment.sequence)
            // Pure acknowledgments are alike in everything else.
            if segment.length == 0 { number |= UInt64(segment.acknowledgment) << 32 }
            length = segment.length
            return
        }
        if packet.message == .error {
            // Addresses in what it quotes are rewritten, its numbers are not.
            guard let quote = packet.quote, quote.hasNumber else { return nil }
            kind = UInt32(packet.icmpType) << 16 | UInt32(packet.icmpCode)
            number = UInt64(quote.lasting)
            length = 0
            return
        }
        guard let digest = packet.digest else { return nil }
        kind = packet.message == .none ? 0 : UInt32(packet.icmpType) << 16 | packet.icmpWord & 0xFFFF
        number = digest
        length = packet.payloadLength
    }
}
