import Wire

/// Longest-prefix search by binary search on the populated lengths (Waldvogel and others, "Scalable High Speed IP
/// Routing Lookups", 1997). A slot at a length says that prefixes of that length or longer may match, and which prefix
/// is the best match so far.
extension Snapshot {
    /// The identifier of the longest prefix that contains `address`, in the index of its family; 0 if there is none.
    @inlinable @inline(__always)
    func longestPrefix<Meter: ProbeMeter>(
        _ four: PrefixIndexKind, _ six: PrefixIndexKind, _ address: IPAddress, meter: inout Meter
    ) -> UInt32 {
        if address.family == .ipv4 { return longestPrefix4(four, address.low, meter: &meter) }
        return longestPrefix6(six, address, meter: &meter)
    }

    @inlinable @inline(__always)
    func populatedLength(_ record: Int, _ index: Int) -> UInt64 {
        UInt64(bytes.load(fromByteOffset: record &+ Layout.lengthsOffset &+ index, as: UInt8.self))
    }

    @inlinable
    func longestPrefix4<Meter: ProbeMeter>(
        _ kind: PrefixIndexKind, _ address: UInt64, meter: inout Meter
    ) -> UInt32 {
        let record = prefixIndexes &+ kind.rawValue &* 160
        let head = word(record &+ 16)
        var best = Self.highHalf(head)
        var low = 0
        var high = Int(Self.lowHalf(head))
        if high == 0 { return best }
        let start = prefixSlots4 &+ Int(truncatingIfNeeded: word(record)) &* 8
        let buckets = word(record &+ 8)
        let end = start &+ Int(truncatingIfNeeded: buckets) &* Layout.bucket &* 8
        while low < high {
            let middle = (low &+ high) >> 1
            let length = populatedLength(record, middle)
            let rest = 32 &- length
            let key = (address &>> rest) &<< rest | length << 32
            var slot = start &+ Layout.place(Layout.spread(key), of: buckets) &* Layout.bucket &* 8
            meter.probe()
            var found = word(slot)
            while found & Layout.keyMask4 != key, found != 0 {
                slot = slot &+ 8
                if slot == end { slot = start }
                if (slot &- start) % (Layout.bucket &* 8) == 0 { meter.probe() }
                found = word(slot)
            }
            if found == 0 {
                high = middle
            } else {
                best = UInt32(truncatingIfNeeded: found >> 38)
                low = middle &+ 1
            }
        }
        return best
    }

    @inlinable
    func longestPrefix6<Meter: ProbeMeter>(
        _ kind: PrefixIndexKind, _ address: IPAddress, meter: inout Meter
    ) -> UInt32 {
        let record = prefixIndexes &+ kind.rawValue &* 160
        let head = word(record &+ 16)
        var best = Self.highHalf(head)
        var low = 0
        var high = Int(Self.lowHalf(head))
        if high == 0 { return best }
        let start = prefixSlots6 &+ Int(truncatingIfNeeded: word(record)) &* 24
        let count = word(record &+ 8)
        let end = start &+ Int(truncatingIfNeeded: count) &* 24
        while low < high {
            let middle = (low &+ high) >> 1
            let length = populatedLength(record, middle)
            let prefix = address.masked(to: Int(truncatingIfNeeded: length))
            let hash = Layout.spread(high: prefix.high, low: prefix.low, tag: length)
            var slot = start &+ Layout.place(hash, of: count) &* 24
            var isHit = false
            while true {
                meter.probe()
                let tail = word(slot &+ 16)
                let slotLength = Self.lowHalf(tail)
                if slotLength == UInt32(truncatingIfNeeded: length), word(slot &+ 8) == prefix.low,
                    word(slot) == prefix.high
                {
                    best = Self.highHalf(tail)
                    isHit = true
                    break
                }
                if slotLength == Layout.emptyLength { break }
                slot = slot &+ 24
                if slot == end { slot = start }
            }
            if isHit { low = middle &+ 1 } else { high = middle }
        }
        return best
    }
}
