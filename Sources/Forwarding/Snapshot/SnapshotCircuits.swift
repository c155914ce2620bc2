import Wire

/// A circuit of a snapshot.
public struct CircuitRecord: Sendable {
    /// What its frames look like.
    public var circuit: Circuit
    /// The interface that stands for it.
    public var interface: Int
    /// The interface whose device has its frames.
    public var carrier: Int
}

extension Snapshot {
    @inline(__always)
    private func circuitPlace(_ interface: Int) -> UInt64 {
        circuitCount == 0 ? 0 : word(circuitPlaces &+ interface &* 8)
    }

    /// The place of the circuit that an interface is; -1 if it has a device of its own. `interface` is less than `interfaceCount`.
    @inline(__always)
    public func circuit(of interface: Int) -> Int {
        Int(truncatingIfNeeded: circuitPlace(interface) & 0xFFFF) &- 1
    }

    /// The places of the circuits that an interface carries. `interface` is less than `interfaceCount`.
    @inline(__always)
    public func circuits(on interface: Int) -> Range<Int> {
        let place = circuitPlace(interface)
        let first = Int(truncatingIfNeeded: place >> 16 & 0xFFFF)
        return Range(uncheckedBounds: (first, first &+ Int(truncatingIfNeeded: place >> 32)))
    }

    /// How many places have to have queues: all up to the last interface that is no circuit and no tunnel.
    public var queuedPlaces: Int {
        var count = interfaceCount
        while count > 0, circuit(of: count &- 1) >= 0 || tunnel(of: count &- 1) >= 0 { count &-= 1 }
        return count
    }

    /// The circuit at a place below `circuitCount`.
    public func circuit(at place: Int) -> CircuitRecord {
        let record = circuits &+ place &* 64
        let tail = word(record &+ 48)
        return CircuitRecord(
            circuit: Circuit(
                checked: (
                    word(record), word(record &+ 8), word(record &+ 16), word(record &+ 24), word(record &+ 32),
                    word(record &+ 40)
                )), interface: Int(Self.highHalf(tail)), carrier: Int(Self.lowHalf(tail)))
    }

    /// The key of the circuit at a place below `circuitCount`.
    @inline(__always)
    private func key(at place: Int) -> CircuitKey {
        CircuitKey(high: word(circuits &+ place &* 64), low: word(circuits &+ place &* 64 &+ 8))
    }

    /// The place of the circuit with a key.
    ///
    /// - Parameters:
    ///   - range: What `circuits(on:)` says of the interface.
    ///   - guess: A place that may be it.
    /// - Returns: -1 if there is none.
    @inline(__always)
    public func circuit(_ key: CircuitKey, in range: Range<Int>, guess: Int) -> Int {
        if range.contains(guess), self.key(at: guess) == key { return guess }
        return search(key, range)
    }

    private func search(_ key: CircuitKey, _ range: Range<Int>) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = low &+ (high &- low) / 2
            let found = self.key(at: middle)
            if found == key { return middle }
            if found < key { low = middle &+ 1 } else { high = middle }
        }
        return -1
    }
}

extension SnapshotValidation {
    /// Circuits are complete, ascending, and belong to the interfaces that name them.
    func checkCircuits() throws(SnapshotError) {
        let (interfaces, circuits) = (layout.count(.interfaces), layout.count(.circuits))
        guard layout.count(.circuitPlaces) == (circuits == 0 ? 0 : interfaces), circuits <= interfaces else {
            throw .section(Section.circuitPlaces.rawValue)
        }
        try all(.circuits) { index in
            let ends = halves(.circuits, index, 6)
            let words = (0..<6).map { word(.circuits, index, $0) }
            guard Circuit(words: (words[0], words[1], words[2], words[3], words[4], words[5])) != nil,
                ends.low < interfaces, ends.high < interfaces, word(.circuits, index, 7) == 0
            else { return false }
            // Each stands where its interface says, and each carrier has an unbroken, ascending run.
            let (own, carrier) = (word(.circuitPlaces, ends.high, 0), word(.circuitPlaces, ends.low, 0))
            let first = Int(carrier >> 16 & 0xFFFF)
            guard own == UInt64(index + 1), carrier & 0xFFFF == 0, first <= index, index < first + Int(carrier >> 32)
            else { return false }
            guard index > first else { return true }
            let before = CircuitKey(high: word(.circuits, index - 1, 0), low: word(.circuits, index - 1, 1))
            return halves(.circuits, index - 1, 6).low == ends.low && before < CircuitKey(high: words[0], low: words[1])
        }
        try all(.circuitPlaces) { index in
            let place = word(.circuitPlaces, index, 0)
            let (own, first, count) = (Int(place & 0xFFFF), Int(place >> 16 & 0xFFFF), Int(place >> 32))
            if own > 0 { return own <= circuits && count == 0 && halves(.circuits, own - 1, 6).high == index }
            return first + count <= circuits
                && (first..<first + count).allSatisfy { halves(.circuits, $0, 6).low == index }
        }
    }
}
