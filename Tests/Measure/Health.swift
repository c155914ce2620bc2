import CLinux
import Engine
import Forwarding
import Wire

/// Prints what it costs that one instance of a group goes down or comes back, for a table of ten entries and one of a
/// million: making what the engines map, in sealed memory, and mapping and checking it as an engine does. Beside each
/// other: all of the table, and the groups alone. One line of JSON for each.
public func measureHealth() throws {
    for entries in [10, 1_000_000] {
        var random = Draw(state: 5)
        var table = LookupCase.hosts4.table(entries, &random)
        var group = InstanceGroup(name: "fw", members: ["a", "b", "c", "d"].map { GroupMember(name: $0) })
        table.groups = [group]
        let target = table.entries[0].targets[0]
        table.entries[0].hops = [
            .instance(group: 0, targets: Array(repeating: target, count: 4), otherwise: .drop(.silence))
        ]
        var compiled = try CompiledTable(table)
        let first = try Mapped(compiled.bytes(generation: 1))
        let base = try Snapshot(validating: first.bytes)
        for kind in ["all of the table", "groups alone"] {
            var times: [Double] = []
            var octets = 0
            for round in 0..<15 {
                group.members[0].availability = round % 2 == 0 ? .down : .up
                let start = MonotonicTime.now.nanoseconds
                _ = compiled.setGroups([group])
                if kind == "groups alone" {
                    let mapped = try Mapped(compiled.groupBytes(generation: UInt64(round + 2), of: 1))
                    _ = try Snapshot(base, groups: mapped.bytes)
                    octets = mapped.bytes.count
                } else {
                    let mapped = try Mapped(compiled.bytes(generation: UInt64(round + 2)))
                    _ = try Snapshot(validating: mapped.bytes)
                    octets = mapped.bytes.count
                }
                times.append(Double(MonotonicTime.now.nanoseconds - start) / 1e3)
            }
            times.sort()
            print(
                "{\"health_change\":\"\(kind)\",\"entries\":\(entries),\"octets\":\(octets)"
                    + ",\"microseconds\":{\"least\":\(short(times[0])),\"median\":\(short(times[7]))"
                    + ",\"greatest\":\(short(times[14]))}}")
        }
        withExtendedLifetime(first) {}
    }
}

/// Bytes in sealed memory, mapped.
private final class Mapped {
    let bytes: UnsafeRawBufferPointer

    init(_ image: [UInt8]) throws {
        let descriptor = try image.withUnsafeBytes { bytes throws(EngineError) in try SharedMapping.makeTable(bytes) }
        defer { close(descriptor) }
        let mapping = try SharedMapping(mapping: descriptor, size: image.count, writable: false)
        let size = mapping.size
        bytes = UnsafeRawBufferPointer(start: mapping.leak(), count: size)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count) }
}
