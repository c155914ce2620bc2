import Wire

/// Whatever the octets of a frame, its tunnel's headers are read without leaving it, and what is said to be inside is there. What is
/// inside can be written into the same tunnel, and is then read as the same.
///
/// An input is an octet for the kind and the family, one for the mark, and the frame.
enum TunnelProperties {
    private static let engine = MACAddress(bits: 0x0200_0000_0001)
    private static let router = MACAddress(bits: 0x0200_0000_000F)

    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        var choices = ByteChoices(input)
        let (choice, mark) = (choices.octet(), choices.octet())
        let kind = TunnelEncapsulation.Kind(rawValue: choice & 3) ?? .vxlan
        let frame = ExactOctets(choices.rest(2_000))
        let count = frame.bytes.count
        try checkError(frame, kind)
        try checkMark(frame, mark)
        var payload = 14..<max(14, count)
        if kind != .ethernet {
            guard let outer = frame.read({ OuterTransport($0) }) else { return }
            if outer.fault != nil { return }
            try require(
                outer.payload.lowerBound >= 14 && outer.payload.upperBound <= count, "a payload is at \(outer.payload)")
            _ = frame.read { outer.hasRightChecksum($0) }
            payload = outer.payload
            try checkPartial(frame, outer, mark)
        } else if count < 14 {
            return
        }
        guard case .frame(let inner, let identifier, let place) = frame.read({ Tunnel.content($0, payload, kind) })
        else { return }
        try require(
            inner.lowerBound >= payload.lowerBound && inner.upperBound <= payload.upperBound && inner.count >= 14,
            "a frame is at \(inner)")
        let isBare = kind == .ethernet
        let family: AddressFamily = choice & 4 == 0 ? .ipv4 : .ipv6
        let address =
            family == .ipv4 ? IPAddress(ipv4: 0xC612_4001) : IPAddress(ipv6High: 0x2001_0DB8_0064_0000, low: 1)
        let tunnel = Tunnel(
            TunnelEncapsulation(
                kind: kind, identifier: Int(identifier), port: isBare ? 0 : 4_789, path: Int(place?.path ?? 0),
                index: Int(place?.index ?? 0)), from: address, to: address, engine: engine, nextHop: router)
        try checkWriting(Array(frame.bytes[inner]), tunnel, place)
        if let read = Tunnel(words: tunnel.words) {
            try require(read == tunnel, "a tunnel is another one behind a snapshot")
        }
    }

    /// A frame in its tunnel is read as that frame.
    private static func checkWriting(
        _ inner: [UInt8], _ tunnel: Tunnel, _ place: NSHHeader.Place?
    ) throws(BrokenProperty) {
        let (room, source) = (ExactOctets(count: Tunnel.mostOctets), ExactOctets(inner))
        guard
            let written = room.edit({ target in
                source.read { tunnel.write(&target, before: $0, length: inner.count) }
            })
        else { throw BrokenProperty("a frame of \(inner.count) octets is not written") }
        let frame = ExactOctets(Array(room.bytes[..<written]) + inner)
        frame.edit { Tunnel.complete(&$0) }
        var payload = 14..<frame.bytes.count
        if tunnel.kind != .ethernet {
            guard let outer = frame.read({ OuterTransport($0) }) else { throw BrokenProperty("no datagram is read") }
            try require(outer.fault == nil, "a fault is read")
            try require(frame.read { outer.hasRightChecksum($0) }, "a wrong checksum is written")
            payload = outer.payload
        }
        let expected = Tunnel.Content.frame(
            written..<frame.bytes.count, identifier: tunnel.identifier, place: place)
        try require(frame.read { Tunnel.content($0, payload, tunnel.kind) } == expected, "another frame is read")
    }

    /// What only the headers are read of is right when the rest is complete; and whatever is said of segments, cutting stays inside.
    private static func checkPartial(
        _ frame: ExactOctets, _ outer: OuterTransport, _ mark: UInt8
    ) throws(BrokenProperty) {
        let count = outer.payload.upperBound
        let start = outer.payload.lowerBound + Int(mark)
        let field = start + 16
        var offload = VirtioNetHeader()
        offload.flags = VirtioNetHeader.needsChecksum | mark & VirtioNetHeader.tunnelChecksum
        offload.gsoType =
            (outer.source.family == .ipv4 ? VirtioNetHeader.gsoTunnel4 : VirtioNetHeader.gsoTunnel6)
            | (mark & 1 == 0 ? VirtioNetHeader.gsoTCPv4 : VirtioNetHeader.gsoUDPL4)
        offload.headerLength = UInt16(truncatingIfNeeded: start) &- (mark & 2 == 0 ? 20 : 40)
        (offload.gsoSize, offload.checksumStart) = (UInt16(mark) + 1, UInt16(truncatingIfNeeded: start))
        offload.checksumOffset = mark & 1 == 0 ? 16 : 6
        if let cut = Segmentation.frames(of: frame.array, offload) {
            for piece in cut { try require(piece.count <= frame.bytes.count, "a segment of \(piece.count) octets") }
        }
        guard field + 2 <= count else { return }
        let whole = ExactOctets(frame.array)
        let partial = frame.read { $0.load(HeaderField<UInt16>(field), at: 0) }
        let isRight = frame.read { outer.hasRightChecksum($0, before: start, partial: partial) }
        whole.edit { bytes in _ = InternetChecksum.complete(&bytes, start: start, offset: 16, end: count) }
        // Zero and all ones are the same sum.
        let after = whole.read { outer.hasRightChecksum($0) }
        try require(
            after == isRight, "a sum is \(isRight ? "right" : "wrong") by the headers, and \(after) when complete")
    }

    /// A mark that is carried leaves a right checksum right, and all else as it was.
    private static func checkMark(_ frame: ExactOctets, _ mark: UInt8) throws(BrokenProperty) {
        guard frame.bytes.count >= 14 else { return }
        let copy = ExactOctets(frame.array)
        guard copy.edit({ CongestionMark.leave(&$0, outer: mark & 3) }), copy.bytes.count >= 34,
            copy.bytes[12] == 8, copy.bytes[13] == 0
        else { return }
        let (before, after) = (NaiveSums.sum(frame.bytes[14..<34]), NaiveSums.sum(copy.bytes[14..<34]))
        try require(before % 0xFFFF == after % 0xFFFF, "the header's sum was \(before), and is \(after)")
    }

    /// An error of the way becomes one whose place is in the frame.
    private static func checkError(_ frame: ExactOctets, _ kind: TunnelEncapsulation.Kind) throws(BrokenProperty) {
        guard let error = frame.read({ TunnelPathError($0) }) else { return }
        let count = frame.bytes.count
        try require(error.payload.upperBound <= count, "a quote is at \(error.payload)")
        guard case .frame(let inner, _, _) = frame.read({ Tunnel.content($0, error.payload, kind) }) else { return }
        let copy = ExactOctets(frame.array)
        guard let place = copy.edit({ error.relay(&$0, inner: inner, overhead: 50) }) else { return }
        try require(place.lowerBound >= 0 && place.upperBound <= count, "an error is at \(place)")
    }
}
