import Wire

/// Whatever the octets of a frame, its outer headers and what is behind them are read without leaving it, and what is said to be inside
/// is there. What is inside can be written behind the same headers, and is then read as the same.
///
/// An input is an octet for the link and the payload, one for the flags, and the frame.
enum CircuitProperties {
    private static let engine = MACAddress(bits: 0x0200_0000_0001)
    private static let peer = MACAddress(bits: 0x0200_0000_000A)

    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        var choices = ByteChoices(input)
        let (kind, flags) = (choices.octet(), choices.octet())
        let frame = ExactOctets(choices.rest(2_000))
        let link = Encapsulation.Link(rawValue: kind & 3) ?? .ethernet
        _ = frame.read { FrameRelayStatus($0) }
        try checkInverseARP(frame)
        guard let outer = read(frame, link), !outer.key.isPlain else { return }
        try require(outer.end <= frame.bytes.count, "the headers end at \(outer.end)")
        // The circuit of this frame, with one of the payloads that it may have.
        let labels: UInt64 = outer.key.high >> 58 & 1 == 1 ? 1 << 60 | 16_001 << 40 : 0
        let words = (
            outer.key.high, outer.key.low, labels, UInt64(kind >> 2 & 7) | UInt64(flags & 7) << 8, engine.bits,
            peer.bits
        )
        guard let circuit = Circuit(words: words) else { return }
        try require(circuit.words.3 == words.3, "a circuit is another one behind a snapshot")
        let count = frame.bytes.count
        switch frame.read({ circuit.content(of: $0, outer) }) {
        case .fault: return
        case .tagged(let type):
            try require(type >= 14 && type + 2 <= count, "the type behind tags is at \(type)")
            try checkWriting(Array(frame.bytes[..<12]) + frame.bytes[type...], circuit, link)
        case .frame(let range):
            try require(range.upperBound <= count && range.count >= 14, "a frame is at \(range)")
            try checkWriting(Array(frame.bytes[range]), circuit, link)
        case .packet(let range, let type, _):
            try require(
                range.upperBound <= count && !range.isEmpty || range.upperBound <= count, "a packet is at \(range)")
            let header = engine.octets + peer.octets + [UInt8(type >> 8), UInt8(type & 0xFF)]
            try checkWriting(header + frame.bytes[range], circuit, link)
            try checkHopLimit(Array(frame.bytes[range]), type, flags)
        }
    }

    private static func read(_ frame: ExactOctets, _ link: Encapsulation.Link) -> OuterHeaders? {
        frame.read { span in
            var outer = OuterHeaders()
            let fault =
                switch link {
                case .ethernet: outer.readEthernet(span)
                case .frameRelay: outer.readFrameRelay(span)
                case .atm: outer.readATM(span)
                }
            return fault == nil ? outer : nil
        }
    }

    /// A frame behind the headers of its circuit is read as that frame.
    private static func checkWriting(
        _ inner: [UInt8], _ circuit: Circuit, _ link: Encapsulation.Link
    ) throws(BrokenProperty) {
        let room = ExactOctets(count: Circuit.mostOctets)
        let source = ExactOctets(inner)
        guard
            let (written, replaced) = room.edit({ target in
                source.read { circuit.write(&target, before: $0, length: inner.count) }
            })
        else { return }
        try require(written <= Circuit.mostOctets && replaced <= 14, "\(written) octets are written")
        let skipped = link == .ethernet ? 0 : Circuit.tunLength
        let frame = ExactOctets(Array(room.bytes[skipped..<written]) + inner[replaced...])
        guard let outer = read(frame, link) else {
            // In the uniform model, a packet that has no hop left makes a label that has none.
            let isUsedUp = circuit.words.3 >> 8 & 4 != 0 && inner.dropFirst(21).prefix(2).contains { $0 < 2 }
            return try require(isUsedUp, "what was written cannot be read")
        }
        // What is sent has other labels than what is received.
        if link == .ethernet, circuit.words.2 != 0 {
            try require(outer.key.low == circuit.words.2, "other labels are written")
        } else {
            try require(outer.key == circuit.key, "another circuit is written")
        }
        switch frame.read({ circuit.content(of: $0, outer) }) {
        case .tagged(let type):
            try require(Array(frame.bytes[..<12]) + frame.bytes[type...] == inner, "another tagged frame is read")
        case .frame(let range): try require(Array(frame.bytes[range]) == inner, "another frame is read")
        case .packet(let range, _, _):
            try require(Array(frame.bytes[range]) == Array(inner[14...]), "another packet is read")
        case .fault(let fault):
            // A packet of labels must have a version, and a uniform TTL of 0 or 1 cannot be sent on.
            try require(fault == .notAPacket || fault == .labelExpired, "what was written is refused: \(fault)")
        }
    }

    /// A request is answered by a message of its own type, which is no request.
    private static func checkInverseARP(_ frame: ExactOctets) throws(BrokenProperty) {
        guard let asked = frame.read({ InverseARP($0) }) else { return }
        try require(frame.read { InverseARP.isOne($0) }, "a request has another type")
        let reply = ExactOctets(count: InverseARP.length)
        reply.edit { asked.writeReply(&$0, at: 0, from: IPAddress(ipv4: 0xC000_0201)) }
        try require(reply.read { InverseARP.isOne($0) && InverseARP($0) == nil }, "a reply is a request")
    }

    /// A lower TTL leaves a right checksum right.
    private static func checkHopLimit(_ packet: [UInt8], _ type: UInt16, _ ttl: UInt8) throws(BrokenProperty) {
        guard packet.count >= (type == EtherType.ipv4 ? 20 : 40) else { return }
        let copy = ExactOctets(packet)
        copy.edit { LabelStack.lowerHopLimit(&$0, type, to: ttl) }
        let place = type == EtherType.ipv4 ? 8 : 7
        try require(copy.bytes[place] == min(packet[place], ttl), "the TTL is \(copy.bytes[place])")
        guard type == EtherType.ipv4 else { return }
        let (before, after) = (NaiveSums.sum(packet[..<20]), NaiveSums.sum(copy.bytes[..<20]))
        try require(before % 0xFFFF == after % 0xFFFF, "the header's sum was \(before), and is \(after)")
    }
}
