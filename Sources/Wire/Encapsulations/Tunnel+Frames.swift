/// Whole frames in tunnels, for those who send and read a few. The engine has a way of its own.
extension Tunnel {
    /// Puts a frame into the tunnel, in place.
    ///
    /// - Parameters:
    ///   - room: The frame, and room for the outer headers behind it.
    ///   - length: The octets of the frame.
    /// - Returns: The octets of the outer frame; 0 if there is no room.
    @_lifetime(room: copy room)
    public func enclose(_ room: inout MutableRawSpan, length: Int) -> Int {
        guard length >= EthernetHeader.length, length <= room.byteCount &- Self.mostOctets else { return 0 }
        var header = [UInt8](repeating: 0, count: Self.mostOctets)
        let count = header.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            return write(&target, before: room.bytes.extracting(0..<length), length: length)
        }
        guard let written = count else { return 0 }
        for offset in (0..<length).reversed() {
            room.store(room.bytes.load(HeaderField<UInt8>(offset), at: 0), at: offset &+ written)
        }
        for offset in 0..<written { room.store(header[offset], at: offset) }
        let whole = written &+ length
        var frame = room.extracting(0..<whole)
        Self.complete(&frame)
        return whole
    }

    /// The tunnel as its far end has it: what this one sends, that one receives.
    public var mirrored: Tunnel {
        var other = self
        (other.local, other.peer) = (peer, local)
        (other.engine, other.nextHop) = (nextHop, engine)
        // It is followed by the index that is sent.
        other.place.index &+= place.path == 0 ? 0 : 1
        return other
    }

    /// The place of the inner frame in a frame from the far end; nil if it is not the tunnel's.
    ///
    /// The UDP checksum is not looked at: on a veth it may be partial.
    public func inner(of frame: RawSpan) -> Range<Int>? {
        guard let ethernet = EthernetView(frame), ethernet.destinationAddress == engine else { return nil }
        var payload = EthernetHeader.length..<frame.byteCount
        if kind == .ethernet {
            guard ethernet.type == NSHHeader.etherType, ethernet.sourceAddress == nextHop else { return nil }
        } else {
            guard let outer = OuterTransport(frame), outer.fault == nil, outer.port == port,
                takes(outer.source, outer.destination)
            else { return nil }
            payload = outer.payload
        }
        guard case .frame(let inner, identifier, let step) = Self.content(frame, payload, kind), isFollowed(by: step)
        else { return nil }
        return inner
    }
}
