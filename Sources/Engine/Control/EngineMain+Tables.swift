import CLinux
import Forwarding

/// Tables that come while the workers forward.
extension EngineMain {
    /// The mapped and checked contents of a message. The caller keeps them by `leak`, else they are unmapped.
    struct Arrival: ~Copyable {
        var table: SharedMapping?
        var counters: SharedMapping?
        var groups: SharedMapping?

        /// Maps the memories that the fields of a message name.
        init(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
            func size(_ field: Int) -> Int { Int(truncatingIfNeeded: message.fields[field]) }
            var left = descriptors[...]
            func next(_ field: Int, sealed: Bool) throws(EngineError) -> SharedMapping? {
                guard size(field) > 0 else { return nil }
                guard let descriptor = left.popFirst() else {
                    throw EngineError("take the table", because: "it came with \(descriptors.count) descriptors")
                }
                if sealed { try EngineMain.checkSealed(descriptor) }
                return try SharedMapping(mapping: descriptor, size: size(field), writable: !sealed)
            }
            table = try next(1, sealed: true)
            counters = try next(2, sealed: false)
            groups = try next(3, sealed: true)
            guard left.isEmpty else {
                throw EngineError("take the table", because: "it came with \(descriptors.count) descriptors")
            }
        }
    }

    /// Takes a table, other groups for the present one, or both, and unmaps memory that is no longer used.
    mutating func take(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        guard let before = mapping, let old = order?.table else { return }
        var arrival = try Arrival(message, descriptors)
        var fresh = before
        var layout = old.layout
        if let base = arrival.table?.base, let size = arrival.table?.size {
            (fresh.table, fresh.tableSize) = (base, size)
            fresh.own = try Self.check(UnsafeRawBufferPointer(start: base, count: size))
        }
        if let base = arrival.counters?.base, let size = arrival.counters?.size {
            layout = try Self.layout(of: arrival.counters!, from: before.firstBlock, workers: crew.count)
            (fresh.counters, fresh.countersSize) = (base, size)
        }
        (fresh.groups, fresh.groupsSize) = (arrival.groups?.base, arrival.groups?.size ?? 0)
        var snapshot = fresh.own
        if let base = fresh.groups {
            snapshot = try Self.check(UnsafeRawBufferPointer(start: base, count: fresh.groupsSize), of: fresh.own)
        }
        let published = try PublishedTable(snapshot: snapshot, counters: fresh.counters, layout: layout)
        guard snapshot.interfaceCount == interfaces else {
            throw EngineError(
                "take the table",
                because: "it has \(snapshot.interfaceCount) interfaces, but the engine \(interfaces)")
        }
        let (isTable, isCounters) = (arrival.table != nil, arrival.counters != nil)
        if let table = arrival.table.take() { _ = table.leak() }
        if let counters = arrival.counters.take() { _ = counters.leak() }
        if let groups = arrival.groups.take() { _ = groups.leak() }
        obey { $0.table = published }
        mapping = fresh
        if isTable { SharedMapping.unmap(before.table, size: before.tableSize) }
        if let groups = before.groups { SharedMapping.unmap(groups, size: before.groupsSize) }
        if isCounters { SharedMapping.unmap(before.counters, size: before.countersSize) }
    }

    static func publish(
        _ table: borrowing SharedMapping, counters: UnsafeMutableRawPointer, layout: CounterLayout
    ) throws(EngineError) -> PublishedTable {
        let snapshot = try check(UnsafeRawBufferPointer(start: table.base, count: table.size))
        return try PublishedTable(snapshot: snapshot, counters: counters, layout: layout)
    }

    /// The only check of a table, or of groups for a checked table.
    private static func check(
        _ bytes: UnsafeRawBufferPointer, of table: Snapshot? = nil
    ) throws(EngineError) -> Snapshot {
        do {
            if let table { return try Snapshot(table, groups: bytes, resting: SharedMapping.rest) }
            return try Snapshot(validating: bytes, resting: SharedMapping.rest)
        } catch {
            throw EngineError("take the table", because: "\(error)")
        }
    }
}
