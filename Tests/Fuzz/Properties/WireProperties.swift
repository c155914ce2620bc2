import Wire

/// Whatever the octets, `Wire` reads them without leaving them, and what it says of them and does with them holds.
///
/// An input is one octet of options, two of sizes, and the frame; or, with the highest bit of the options, a text.
enum WireProperties {
    private static let engine = MACAddress(bits: 0x0200_0000_0001)

    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        var choices = ByteChoices(input)
        let options = choices.octet()
        guard options & 0x80 == 0 else { return try checkText(choices.rest(256)) }
        let size = choices.word()
        let frame = ExactOctets(choices.rest(80_000))
        if options & 1 != 0 { Correction.correct(frame.bytes) }
        let state: ChecksumState = options & 2 == 0 ? .full : .partial
        try checkSums(frame, size)
        let (verdict, fields) = frame.parse()
        switch verdict {
        case .arp: try checkARP(frame)
        case .packet:
            try checkOrder(fields, frame.bytes.count)
            try checkPadding(fields, frame)
            try checkRewrites(fields, frame, state, options & 4 != 0)
            try checkShifts(
                fields, Array(frame.bytes[..<fields.end]), state, PortShift(UInt16(truncatingIfNeeded: size)))
            try checkAnswers(fields, frame, state, size)
            try checkFragments(fields, frame, 68 + size % 2_000)
        case .malformed, .unsupported:
            break
        }
    }

    /// Fast sums are those of the naive one, over any stretch.
    private static func checkSums(_ frame: ExactOctets, _ size: Int) throws(BrokenProperty) {
        let bytes = frame.bytes
        let start = bytes.isEmpty ? 0 : size % bytes.count
        let fast = frame.read { Int(InternetChecksum.sum($0, start..<bytes.count)) } % 0xFFFF
        try require(fast == NaiveSums.sum(bytes[start...]), "the sum from \(start) on is \(fast)")
        guard bytes.count - start >= 2 else { return }
        let copy = ExactOctets(bytes)
        let offset = size >> 8
        let done = copy.edit { InternetChecksum.complete(&$0, start: start, offset: offset, end: bytes.count) }
        if done, offset % 2 == 0 {
            let field = NaiveSums.word(Array(bytes), start + offset)
            let sum = (NaiveSums.sum(copy.bytes[start...]) + field) % 0xFFFF
            try require(sum == 0, "a completed checksum leaves \(sum)")
        }
    }

    private static func checkARP(_ frame: ExactOctets) throws(BrokenProperty) {
        guard let fields = frame.read({ try? ARPFields($0) }) else { return }
        let copy = ExactOctets(count: ARPFields.frameLength)
        try require(copy.edit { fields.write(into: &$0) } == ARPFields.frameLength, "ARP is not written")
        try require(copy.read { try? ARPFields($0) } == fields, "ARP that was written is read as something else")
        let reply = ARPFields(replyTo: fields, from: engine)
        try require(copy.edit { reply.write(into: &$0) } == ARPFields.frameLength, "an ARP reply is not written")
        let short = ExactOctets(count: ARPFields.frameLength - 1)
        try require(short.edit { fields.write(into: &$0) } == 0, "ARP is written where there is no room")
    }

    private static func checkOrder(_ fields: PacketFields, _ count: Int) throws(BrokenProperty) {
        try require(
            fields.networkOffset < fields.transportOffset && fields.transportOffset <= fields.headerLength
                && fields.headerLength <= fields.end && fields.end <= count
                && fields.headerLength <= PacketFields.maximumHeaderLength, "offsets are out of order")
        try require(
            !fields.hasQuoted
                || fields.transportOffset + 8 == fields.quotedNetworkOffset
                    && fields.quotedNetworkOffset < fields.quotedTransportOffset
                    && fields.quotedTransportOffset <= fields.quotedEnd && fields.quotedEnd <= fields.end,
            "the quote's offsets are out of order")
    }

    /// What the frame holds behind the packet changes nothing; what is read lies within the packet.
    private static func checkPadding(_ fields: PacketFields, _ frame: ExactOctets) throws(BrokenProperty) {
        let (verdict, again) = ExactOctets(frame.bytes[..<fields.end]).parse()
        try require(verdict == .packet, "a packet without its padding is \(verdict)")
        try require(
            again.flow == fields.flow && again.quoted == fields.quoted && again.headerLength == fields.headerLength
                && again.fragment == fields.fragment, "padding changes what is read")
    }

    private static func rewritten(
        _ fields: PacketFields, _ frame: [UInt8], to address: IPAddress, _ state: ChecksumState, source: Bool
    ) throws(BrokenProperty) -> [UInt8]? {
        // The engine has only the leading octets in hand when it edits.
        let header = ExactOctets(frame[..<fields.headerLength])
        let done = header.edit {
            source
                ? fields.rewriteSource(to: address, in: &$0, checksum: state)
                : fields.rewriteDestination(to: address, in: &$0, checksum: state)
        }
        if !done {
            // What its own headers bind to the address stays as it was.
            try require(!fields.bindings.union(fields.quotedBindings).isEmpty, "a packet is not rewritten")
            try require(header.array == Array(frame[..<fields.headerLength]), "what is not rewritten is changed")
            return nil
        }
        return header.array + frame[fields.headerLength...]
    }

    private static func checkRewrites(
        _ fields: PacketFields, _ frame: ExactOctets, _ state: ChecksumState, _ extreme: Bool
    ) throws(BrokenProperty) {
        let address: IPAddress =
            switch (fields.family, extreme) {
            case (.ipv4, false): IPAddress(ipv4: 0xC612_0409)
            case (.ipv4, true): IPAddress(ipv4: 0x0100_0000)
            case (.ipv6, false): IPAddress(ipv6High: 0xFD00_0000_0000_0000, low: 9)
            case (.ipv6, true): IPAddress(ipv6High: 0xFDFF_FFFF_FFFF_FFFF, low: .max)
            }
        try checkRewrite(fields, Array(frame.bytes[..<fields.end]), to: address, state, source: false)
        try checkRewrite(fields, Array(frame.bytes[..<fields.end]), to: address, state, source: true)
    }

    /// A rewrite changes the address and no sum; another one back leaves the packet as it was.
    private static func checkRewrite(
        _ fields: PacketFields, _ before: [UInt8], to address: IPAddress, _ state: ChecksumState, source: Bool
    ) throws(BrokenProperty) {
        let sums = NaiveSums.invariants(before, fields, state)
        guard let after = try rewritten(fields, before, to: address, state, source: source) else { return }
        let now = NaiveSums.invariants(after, fields, state)
        try require(sums == now, "rewriting turns the sums \(sums) into \(now), source: \(source)")
        let (verdict, again) = ExactOctets(after).parse()
        try require(verdict == .packet, "a rewritten packet is \(verdict)")
        let old = source ? fields.flow.source : fields.flow.destination
        let quoted = source ? fields.quoted.destination : fields.quoted.source
        let kept = source && fields.hasQuoted && fields.flow.source != fields.quoted.destination
        try require(
            (source ? again.flow.source : again.flow.destination) == (kept ? old : address),
            "the address is not the one that was to be")
        guard !fields.hasQuoted || quoted == old else { return }
        guard let back = try rewritten(again, after, to: old, state, source: source) else {
            throw BrokenProperty("what was rewritten once is not rewritten again, source: \(source)")
        }
        if let offset = firstDifference(before, back, fields) {
            throw BrokenProperty("there and back changes octet \(offset), source: \(source)")
        }
    }

    /// Where two packets differ by more than the other way to write a checksum of zero.
    static func firstDifference(_ before: [UInt8], _ back: [UInt8], _ fields: PacketFields) -> Int? {
        for offset in before.indices where before[offset] != back[offset] {
            guard let field = checksumField(fields, holding: offset) else { return offset }
            let words = (NaiveSums.word(before, field), NaiveSums.word(back, field))
            guard words == (0, 0xFFFF) || words == (0xFFFF, 0) else { return offset }
        }
        return nil
    }

    private static func checksumField(_ fields: PacketFields, holding offset: Int) -> Int? {
        var places: [Int] = []
        if fields.family == .ipv4 { places += [24] + (fields.hasQuoted ? [fields.quotedNetworkOffset + 10] : []) }
        if let place = IPProtocol.pseudoHeaderChecksumOffset(fields.transportProtocol, fields.family) {
            places.append(fields.transportOffset + place)
        } else if fields.message != .none {
            places.append(fields.transportOffset + 2)
        }
        if let place = NaiveSums.quotedChecksum(fields) { places.append(place) }
        return places.first { $0 == offset || $0 + 1 == offset }
    }

    private static func checkAnswers(
        _ fields: PacketFields, _ frame: ExactOctets, _ state: ChecksumState, _ size: Int
    ) throws(BrokenProperty) {
        let reply = ExactOctets(count: size % 2_048)
        let echo = frame.read { bytes in
            reply.edit { EchoReply.write(into: &$0, answering: bytes, fields, from: engine, checksum: state) }
        }
        if echo > 0 { try checkControl(reply, echo, .echoReply, to: fields.flow.source, "an echo reply") }
        let source =
            fields.family == .ipv4
            ? IPAddress(ipv4: 0xC000_0201) : IPAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 1)
        let isFair = !fields.flow.source.isUnspecified
        for error in [ICMPError.portUnreachable(fields.family), .packetTooBig(fields.family, mtu: size)] {
            let write = { (target: ExactOctets) in
                frame.read { bytes in
                    target.edit { error.write(into: &$0, about: bytes, fields, from: source, sourceMAC: engine) }
                }
            }
            let short = write(reply)
            if short > 0, isFair { try checkControl(reply, short, .error, to: fields.flow.source, "an error") }
            let length = write(ExactOctets(count: ICMPError.maximumFrameLength))
            try require(
                length > 0 && length <= EthernetView.length + ICMPError.maximumLength(fields.family),
                "an error has \(length) octets")
        }
        guard let message = frame.read({ try? NeighbourMessage($0, fields, checksum: state) }) else { return }
        for written in [message, NeighbourMessage(advertisementFor: message, from: engine)] {
            let copy = ExactOctets(count: NeighbourMessage.frameLength)
            let length = copy.edit { written.write(into: &$0) }
            guard length > 0 else { continue }
            try checkControl(copy, length, .neighbourDiscovery, to: written.destination, "a neighbour message")
            guard written == message else { continue }
            let exact = ExactOctets(copy.bytes[..<length])
            let again = exact.parse().fields
            try require(
                exact.read { try? NeighbourMessage($0, again) } == message, "a neighbour message is read otherwise")
        }
    }

    /// A message of the engine's own is a packet with a right checksum for whom it is meant.
    private static func checkControl(
        _ frame: ExactOctets, _ length: Int, _ kind: ICMPMessage, to destination: IPAddress, _ what: String
    ) throws(BrokenProperty) {
        let exact = ExactOctets(frame.bytes[..<length])
        let (verdict, fields) = exact.parse()
        // Who answers a loopback or unspecified address answers nobody; that the message cannot be read back is right.
        if case .malformed(.badDestination) = verdict { return }
        try require(verdict == .packet && fields.message == kind, "\(what) is \(verdict), \(fields.message)")
        try require(
            fields.end == length && fields.flow.destination == destination
                && exact.read { fields.controlChecksumIsValid($0) }, "\(what) is not right")
    }

    private static func checkFragments(
        _ fields: PacketFields, _ frame: ExactOctets, _ mtu: Int
    ) throws(BrokenProperty) {
        guard var fragments = frame.read({ IPv4Fragmentation($0, fields, mtu: mtu) }) else { return }
        let whole = Array(frame.bytes)
        let (base, more) = ((NaiveSums.word(whole, 20) & 0x1FFF) * 8, whole[20] & 0x20 != 0)
        let start = 14 + Int(whole[14] & 15) * 4
        let buffer = ExactOctets(count: 14 + mtu)
        var next = start
        while let length = frame.read({ bytes in buffer.edit { fragments.next(of: bytes, into: &$0) } }) {
            let fragment = Array(buffer.bytes[..<length])
            let data = 14 + Int(fragment[14] & 15) * 4
            let isLast = next + length - data == fields.end
            try require(
                length <= 14 + mtu && length > data && NaiveSums.word(fragment, 16) == length - 14
                    && NaiveSums.sum(fragment[14..<data]) == 0
                    && (NaiveSums.word(fragment, 20) & 0x1FFF) * 8 == base + next - start
                    && (fragment[20] & 0x20 != 0) == (more || !isLast)
                    && fragment[data...].elementsEqual(whole[next..<next + length - data]),
                "the fragment from octet \(next) on is not right")
            next += length - data
        }
        try require(next == fields.end, "the fragments end at \(next) of \(fields.end)")
    }

    /// What can be read can be written, and is read again as the same.
    private static func checkText(_ bytes: UnsafeRawBufferPointer) throws(BrokenProperty) {
        let text = String(decoding: bytes, as: UTF8.self)
        if let address = IPAddress(text) {
            try require(IPAddress(address.description) == address, "\(address) is read otherwise")
        }
        if let prefix = IPPrefix(text) {
            try require(IPPrefix(prefix.description) == prefix, "\(prefix) is read otherwise")
        }
        if let address = InterfaceAddress(text) {
            try require(InterfaceAddress(address.description) == address, "\(address) is read otherwise")
        }
        if let mac = MACAddress(text) {
            try require(MACAddress(mac.description) == mac, "\(mac) is read otherwise")
        }
    }
}
