import Forwarding
import Wire

extension TunnelTraffic {
    enum Outcome {
        case plain
        case opened(ReceivedFrame)
        case lost(DropReason)
        /// It is a superframe of something else than the inside of one of these tunnels.
        case uncut
    }

    @inline(__always)
    mutating func open(_ frame: ReceivedFrame, _ table: Snapshot, mayCut: Bool) -> Outcome {
        let start = frame.start + VirtioNetHeader.length
        let count = frame.length &- VirtioNetHeader.length
        guard count >= EthernetView.length else { return .plain }
        let octets = UnsafeRawBufferPointer(start: start, count: count)
        let flags = frame.start.load(as: UInt8.self)
        let type = frame.start.load(fromByteOffset: VirtioNetHeader.gsoType.offset, as: UInt8.self)
        let isOffloaded = type | flags & VirtioNetHeader.needsChecksum != 0
        if octets.bytes.load(EthernetHeader.type, at: 0) == NSHHeader.etherType {
            return isOffloaded
                ? .lost(.badOffloadHeader) : open(octets, EthernetView.length..<count, nil, nil, table)
        }
        guard let outer = OuterTransport(octets.bytes) else { return relay(octets, table) }
        // The kernel hands over segments of all tunnels, not only of these.
        let isForeign = mayCut && type & VirtioNetHeader.gsoTunnel != 0
        let known = table.firstTunnel(from: Tunnel.key(port: outer.port, 0), in: range)
        // A fragment has no port: it is a tunnel's if it is for the end of one.
        if outer.fault == .fragment { return isLocal(outer.destination, table) ? .lost(.tunnelFragment) : .plain }
        guard known < range.upperBound, table.tunnelKey(at: known) >> 32 == UInt64(outer.port),
            isLocal(outer.destination, table)
        else { return isForeign ? .uncut : .plain }
        // Several datagrams of one sender (UDP_SEGMENT).
        if mayCut, type == VirtioNetHeader.gsoUDPL4 { return .uncut }
        if let fault = outer.fault { return .lost(DropReason(fault)) }
        guard isOffloaded else {
            guard outer.hasRightChecksum(octets.bytes) else { return .lost(.badTunnelChecksum) }
            return open(octets, outer.payload, outer, nil, table)
        }
        guard let offload = VirtioNetHeader(UnsafeRawBufferPointer(start: frame.start, count: frame.length).bytes)
        else { return .lost(.badOffloadHeader) }
        return open(octets, outer, offload, table)
    }

    /// Takes a frame out of a datagram of which the sender has left work to the device: checksums, or cutting it.
    private mutating func open(
        _ octets: UnsafeRawBufferPointer, _ outer: OuterTransport, _ offload: VirtioNetHeader, _ table: Snapshot
    ) -> Outcome {
        let start = Int(offload.checksumStart)
        guard offload.flags & VirtioNetHeader.needsChecksum != 0 else { return .lost(.badOffloadHeader) }
        if offload.gsoType == VirtioNetHeader.gsoNone, start == outer.datagram {
            // The outer checksum is the one that is left to do, and the sender is a neighbour.
            return open(octets, outer.payload, outer, nil, table)
        }
        let field = start &+ Int(offload.checksumOffset)
        guard start >= outer.payload.lowerBound, field &+ 2 <= outer.payload.upperBound else {
            return .lost(.badOffloadHeader)
        }
        if offload.gsoType != VirtioNetHeader.gsoNone {
            let tunnel = outer.source.family == .ipv4 ? VirtioNetHeader.gsoTunnel4 : VirtioNetHeader.gsoTunnel6
            guard offload.gsoType & VirtioNetHeader.gsoTunnel == tunnel else { return .lost(.badOffloadHeader) }
            return open(octets, outer.payload, outer, offload, table)
        }
        guard
            outer.hasRightChecksum(
                octets.bytes, before: start, partial: octets.bytes.load(HeaderField<UInt16>(field), at: 0))
        else {
            return .lost(.badTunnelChecksum)
        }
        return open(octets, outer.payload, outer, offload, table)
    }

    /// Takes a frame out of what a datagram carries; without one, out of an Ethernet frame.
    ///
    /// - Parameter offload: What is left to do of the inner frame, as it is before the outer one; nil: nothing.
    @inline(__always)
    private mutating func open(
        _ octets: UnsafeRawBufferPointer, _ payload: Range<Int>, _ outer: OuterTransport?, _ offload: VirtioNetHeader?,
        _ table: Snapshot
    ) -> Outcome {
        let port = outer?.port ?? 0
        let known = table.firstTunnel(from: Tunnel.key(port: port, 0), in: range)
        guard known < range.upperBound, table.tunnelKey(at: known) >> 32 == UInt64(port) else { return .plain }
        if !(range.contains(place) && record?.tunnel.port == port) { take(known, table) }
        guard let kind = record?.tunnel.kind else { return .lost(.unknownTunnel) }
        switch Tunnel.content(octets.bytes, payload, kind) {
        case .fault(let fault): return .lost(DropReason(fault))
        case .frame(let inner, let identifier, let step):
            if let reason = choose(Tunnel.key(port: port, identifier), outer, table) { return .lost(reason) }
            guard let tunnel = record?.tunnel, let start = octets.baseAddress else { return .lost(.unknownTunnel) }
            guard tunnel.isFollowed(by: step) else { return .lost(.wrongServicePath) }
            let addresses = EthernetAddresses(of: start)
            guard addresses.destination == tunnel.engine else { return .lost(.notForUs) }
            if outer == nil, addresses.source != tunnel.nextHop { return .lost(.wrongTunnelPeer) }
            let frame = UnsafeMutableRawPointer(mutating: start) + inner.lowerBound
            if isNested(UnsafeRawBufferPointer(start: frame, count: inner.count), table) {
                return .lost(.nestedTunnel)
            }
            var bytes = UnsafeMutableRawBufferPointer(start: frame, count: inner.count).mutableBytes
            if wire != nil, !CongestionMark.isLoss(bytes.bytes, outer: outer?.congestion ?? 0) { capture(octets) }
            guard CongestionMark.leave(&bytes, outer: outer?.congestion ?? 0) else { return .lost(.tunnelCongestion) }
            if tunnel.takesHop { Tunnel.takeHop(&bytes) }
            let opened = Self.framed(frame, inner.count)
            if let offload {
                guard let left = offload.taken(out: inner.lowerBound) else { return .lost(.badOffloadHeader) }
                var header = UnsafeMutableRawBufferPointer(start: opened.start, count: VirtioNetHeader.length)
                    .mutableBytes
                left.write(into: &header)
            }
            return .opened(opened)
        }
    }

    /// Turns a router's word that a tunnel's packet is too big into one about the packet inside; all other frames are plain.
    private mutating func relay(_ octets: UnsafeRawBufferPointer, _ table: Snapshot) -> Outcome {
        guard let error = TunnelPathError(octets.bytes), isLocal(error.local, table) else { return .plain }
        let known = table.firstTunnel(from: Tunnel.key(port: error.port, 0), in: range)
        guard known < range.upperBound, table.tunnelKey(at: known) >> 32 == UInt64(error.port) else { return .plain }
        let kind = table.tunnel(at: known).tunnel.kind
        guard case .frame(let inner, let identifier, _) = Tunnel.content(octets.bytes, error.payload, kind) else {
            return .plain
        }
        let key = Tunnel.key(port: error.port, identifier)
        var found = table.firstTunnel(from: key, in: range)
        while found < range.upperBound, table.tunnelKey(at: found) == key {
            take(found, table)
            if let tunnel = record?.tunnel, tunnel.takes(error.peer, error.local) {
                if wire != nil { capture(octets) }
                var bytes = UnsafeMutableRawBufferPointer(mutating: octets).mutableBytes
                guard let place = error.relay(&bytes, inner: inner, overhead: tunnel.overhead),
                    let start = octets.baseAddress
                else { return .plain }
                return .opened(Self.framed(UnsafeMutableRawPointer(mutating: start) + place.lowerBound, place.count))
            }
            found &+= 1
        }
        return .plain
    }

    /// Copies a frame that leaves a tunnel as it is on the wire, for those who want it.
    @inline(never)
    private mutating func capture(_ octets: UnsafeRawBufferPointer) {
        guard let start = octets.baseAddress, let carrier = record?.carrier else { return }
        let whole = UnsafeRawBufferPointer(
            start: start - VirtioNetHeader.length, count: octets.count &+ VirtioNetHeader.length)
        wire?.capture(whole, of: carrier, at: time)
    }

    /// Makes the tunnel with a key, from the far end that sent the packet, the present one.
    ///
    /// - Returns: Why there is none; nil if there is.
    @inline(__always)
    private mutating func choose(_ key: UInt64, _ outer: OuterTransport?, _ table: Snapshot) -> DropReason? {
        if range.contains(place), let tunnel = record?.tunnel, tunnel.key == key, Self.takes(tunnel, outer) {
            return nil
        }
        var found = table.firstTunnel(from: key, in: range)
        guard found < range.upperBound, table.tunnelKey(at: found) == key else { return .unknownTunnel }
        while found < range.upperBound, table.tunnelKey(at: found) == key {
            take(found, table)
            if let tunnel = record?.tunnel, Self.takes(tunnel, outer) { return nil }
            found &+= 1
        }
        return .wrongTunnelPeer
    }

    @inline(__always)
    private static func takes(_ tunnel: Tunnel, _ outer: OuterTransport?) -> Bool {
        outer.map { tunnel.takes($0.source, $0.destination) } ?? true
    }

    /// True if an address is the engine's end of tunnels of the batch's interface.
    @inline(__always)
    private mutating func isLocal(_ address: IPAddress, _ table: Snapshot) -> Bool {
        if range.contains(place), record?.tunnel.local == address { return true }
        return findLocal(address, table)
    }

    private mutating func findLocal(_ address: IPAddress, _ table: Snapshot) -> Bool {
        for candidate in range where table.tunnel(at: candidate).tunnel.local == address { return true }
        return false
    }

    /// True if a frame that comes out of a tunnel would go into another one of the underlay.
    @inline(__always)
    private mutating func isNested(_ frame: UnsafeRawBufferPointer, _ table: Snapshot) -> Bool {
        guard let inner = OuterTransport(frame.bytes), inner.fault != .fragment else { return false }
        let known = table.firstTunnel(from: Tunnel.key(port: inner.port, 0), in: range)
        return known < range.upperBound && table.tunnelKey(at: known) >> 32 == UInt64(inner.port)
            && isLocal(inner.destination, table)
    }
}
