import Forwarding
import Glibc
import Wire

/// Prints what a lookup costs by the number and the kind of entries, for packets that an entry matches and for others: one
/// line of JSON each.
///
/// `nanoseconds` is with 256 packets again and again, so that what they need is in the processor's caches;
/// `cold_nanoseconds` with packets all over the table. What cache misses explain of that shows beside it: `reads` are the
/// buckets, slots and records that a lookup looks at, and `read_nanoseconds` is what one read costs in a chain of
/// dependent reads all over as much memory as the snapshot has.
public func measureLookup() throws {
    for key in LookupCase.allCases {
        for count in [10, 1_000, 100_000, 1_000_000] { try measure(key, count) }
    }
}

private func measure(_ key: LookupCase, _ count: Int) throws {
    var random = Draw(state: 0x5EED)
    let table = key.table(count, &random)
    let clock = ContinuousClock()
    var bytes: [UInt8] = []
    let build = try clock.measure { bytes = try TableCompiler.compile(table, generation: 1) }
    var buffer: SnapshotBuffer?
    let validation = try clock.measure { buffer = try SnapshotBuffer(copying: bytes) }
    let snapshot = buffer!.snapshot
    let read = chase(octets: bytes.count, reads: 1_000_000)
    for isHit in [true, false] {
        let packets = (0..<min(max(count, 4_096), 400_000)).map { _ in
            isHit ? key.packet(of: table.entries[random.below(count)], &random) : key.stranger(&random)
        }
        let found = packets.count { snapshot.entryIndex($0) != nil }
        precondition(isHit ? found == packets.count : found == 0, "\(key): \(found) of \(packets.count)")
        let reads = packets.prefix(1_000).reduce(0) {
            $0 + snapshot.probes(for: $1.flow, sourceMAC: $1.mac, receivedInterface: 0)
        }
        let warm = cost(Array(packets.prefix(256)), snapshot, lookups: 1_000_000)
        let cold = cost(packets, snapshot, lookups: packets.count)
        print(
            "{\"entries\":\(count),\"key\":\"\(key.rawValue)\",\"case\":\"\(isHit ? "hit" : "miss")\""
                + ",\"nanoseconds\":\(short(warm)),\"cold_nanoseconds\":\(short(cold))"
                + ",\"reads\":\(short(Double(reads) / Double(min(packets.count, 1_000))))"
                + ",\"read_nanoseconds\":\(short(read))"
                + ",\"octets_per_entry\":\(short(Double(bytes.count) / Double(count)))"
                + ",\"build_seconds\":\(short(seconds(build), 4)),\"validation_seconds\":\(short(seconds(validation), 4))}"
        )
    }
    withExtendedLifetime(buffer) {}
}

/// Nanoseconds for each lookup, the least of several rounds.
private func cost(_ packets: [LookupPacket], _ snapshot: Snapshot, lookups: Int) -> Double {
    let clock = ContinuousClock()
    var least = Double.infinity
    var sum = 0
    for _ in 0..<7 {
        let time = clock.measure {
            for _ in 0..<max(1, lookups / packets.count) {
                for packet in packets { sum &+= snapshot.entryIndex(packet) ?? 1 }
            }
        }
        least = min(least, seconds(time) * 1e9 / Double(max(1, lookups / packets.count) * packets.count))
    }
    keep(sum)
    return least
}

/// Nanoseconds of a read in a chain of dependent reads, each of another cache line of so many octets.
private func chase(octets: Int, reads: Int) -> Double {
    let lines = max(2, octets / 64)
    var random = Draw(state: 7)
    // One cycle through all lines (Sattolo's).
    var order = Array(0..<lines)
    for index in stride(from: lines - 1, to: 0, by: -1) { order.swapAt(index, random.below(index)) }
    let memory = UnsafeMutableBufferPointer<Int>.allocate(capacity: lines * 8)
    defer { memory.deallocate() }
    for index in 0..<lines { memory[order[index] * 8] = order[(index + 1) % lines] * 8 }
    let clock = ContinuousClock()
    var least = Double.infinity
    var place = 0
    for _ in 0..<3 {
        let time = clock.measure { for _ in 0..<reads { place = memory[place] } }
        least = min(least, seconds(time) * 1e9 / Double(reads))
    }
    keep(place)
    return least
}

extension Snapshot {
    @inline(__always)
    fileprivate func entryIndex(_ packet: LookupPacket) -> Int? {
        guard case .forward(let entry) = decide(packet.flow, sourceMAC: packet.mac, receivedInterface: 0) else {
            return nil
        }
        return entry
    }
}

/// Makes a result count, so that the work for it is not left out.
@inline(never)
private func keep(_ value: Int) { withUnsafePointer(to: value) { _ in } }

private func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}

/// A number with few digits behind the point, without Foundation.
func short(_ value: Double, _ digits: Int = 1) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    return "\((value * scale).rounded() / scale)"
}
