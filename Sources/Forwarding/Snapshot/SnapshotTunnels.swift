import Wire

/// A tunnel of a snapshot.
public struct TunnelRecord: Sendable {
    /// What its frames look like.
    public var tunnel: Tunnel
    /// The interface that stands for it.
    public var interface: Int
    /// The interface that has its packets.
    public var carrier: Int
}

extension Snapshot {
    @inline(__always)
    private func tunnelPlace(_ interface: Int) -> UInt64 {
        tunnelCount == 0 ? 0 : word(tunnelPlaces &+ interface &* 8)
    }

    /// The place of the tunnel that an interface is; -1 if it is none. `interface` is less than `interfaceCount`.
    @inline(__always)
    public func tunnel(of interface: Int) -> Int {
        Int(truncatingIfNeeded: tunnelPlace(interface) & 0xFFFF) &- 1
    }

    /// The places of the tunnels whose underlay an interface is. `interface` is less than `interfaceCount`.
    @inline(__always)
    public func tunnels(on interface: Int) -> Range<Int> {
        let place = tunnelPlace(interface)
        let first = Int(truncatingIfNeeded: place >> 16 & 0xFFFF)
        return Range(uncheckedBounds: (first, first &+ Int(truncatingIfNeeded: place >> 32)))
    }

    /// The tunnel at a place below `tunnelCount`.
    public func tunnel(at place: Int) -> TunnelRecord {
        let record = tunnels &+ place &* 128
        let tail = word(record &+ 64)
        return TunnelRecord(
            tunnel: Tunnel(
                checked: (
                    word(record), word(record &+ 8), word(record &+ 16), word(record &+ 24), word(record &+ 32),
                    word(record &+ 40), word(record &+ 48), word(record &+ 56)
                )), interface: Int(Self.highHalf(tail)), carrier: Int(Self.lowHalf(tail)))
    }

    /// The first place in `range` whose tunnel's key is not below `key`; its end if there is none.
    @inline(__always)
    public func firstTunnel(from key: UInt64, in range: Range<Int>) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = low &+ (high &- low) / 2
            if self.tunnelKey(at: middle) < key { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    /// The key of the tunnel at a place below `tunnelCount`.
    @inline(__always)
    public func tunnelKey(at place: Int) -> UInt64 { word(tunnels &+ place &* 128) }
}

extension SnapshotValidation {
    /// Tunnels are complete, ascending, and belong to the interfaces that name them.
    func checkTunnels() throws(SnapshotError) {
        let (interfaces, tunnels) = (layout.count(.interfaces), layout.count(.tunnels))
        guard layout.count(.tunnelPlaces) == (tunnels == 0 ? 0 : interfaces), tunnels <= interfaces else {
            throw .section(Section.tunnelPlaces.rawValue)
        }
        try all(.tunnels) { index in
            let ends = halves(.tunnels, index, 8)
            let words = (0..<8).map { word(.tunnels, index, $0) }
            guard
                Tunnel(
                    words: (words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7])) != nil,
                ends.low < interfaces, ends.high < interfaces,
                (9..<16).allSatisfy({ word(.tunnels, index, $0) == 0 })
            else { return false }
            // Each stands where its interface says, and each carrier has an unbroken, ascending run.
            let (own, carrier) = (word(.tunnelPlaces, ends.high, 0), word(.tunnelPlaces, ends.low, 0))
            let first = Int(carrier >> 16 & 0xFFFF)
            guard own == UInt64(index + 1), carrier & 0xFFFF == 0, first <= index, index < first + Int(carrier >> 32)
            else { return false }
            return index == first
                || halves(.tunnels, index - 1, 8).low == ends.low && word(.tunnels, index - 1, 0) <= words[0]
        }
        try all(.tunnelPlaces) { index in
            let place = word(.tunnelPlaces, index, 0)
            let (own, first, count) = (Int(place & 0xFFFF), Int(place >> 16 & 0xFFFF), Int(place >> 32))
            if own > 0 { return own <= tunnels && count == 0 && halves(.tunnels, own - 1, 8).high == index }
            return first + count <= tunnels
                && (first..<first + count).allSatisfy { halves(.tunnels, $0, 8).low == index }
        }
    }
}
