import CLinux
import Forwarding

/// Tables that come while the workers forward.
extension EngineMain {
    /// The mapped contents of a message. The caller keeps them by `leak`, else they are unmapped.
    struct Arrival: ~Copyable {
        /// A whole table: its descriptor and its size.
        var table: (descriptor: Int32, size: Int)?
        /// A patch of the table in force.
        var patch: SharedMapping?
        var counters: SharedMapping?
        var groups: SharedMapping?

        /// Maps the memories that the fields of a message name.
        init(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
            func size(_ field: Int) -> Int { Int(truncatingIfNeeded: message.fields[field]) }
            var left = descriptors[...]
            func next(_ field: Int, sealed: Bool) throws(EngineError) -> Int32? {
                guard size(field) > 0 else { return nil }
                guard let descriptor = left.popFirst() else {
                    throw EngineError("take the table", because: "it came with \(descriptors.count) descriptors")
                }
                if sealed { try EngineMain.checkSealed(descriptor) }
                return descriptor
            }
            func map(_ field: Int, sealed: Bool) throws(EngineError) -> SharedMapping? {
                guard let descriptor = try next(field, sealed: sealed) else { return nil }
                return try SharedMapping(mapping: descriptor, size: size(field), writable: !sealed)
            }
            if message.fields[4] == 0 {
                table = try next(1, sealed: true).map { ($0, size(1)) }
            } else {
                patch = try map(1, sealed: true)
            }
            counters = try map(2, sealed: false)
            groups = try map(3, sealed: true)
            guard left.isEmpty else {
                throw EngineError("take the table", because: "it came with \(descriptors.count) descriptors")
            }
        }
    }

    /// Takes a table, a patch of the present one, other groups for it, or several of these, and unmaps memory that is no
    /// longer used.
    mutating func take(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        guard let before = mapping, let old = order?.table else { return }
        var arrival = try Arrival(message, descriptors)
        var fresh = before
        var layout = old.layout
        if let counters = arrival.counters?.base, let size = arrival.counters?.size {
            layout = try Self.layout(of: arrival.counters!, from: before.firstBlock, workers: crew.count)
            (fresh.counters, fresh.countersSize) = (counters, size)
        }
        var patch: UnsafeRawBufferPointer?
        if let base = arrival.patch?.base, let size = arrival.patch?.size {
            patch = UnsafeRawBufferPointer(start: base, count: size)
        }
        // Groups that engines have already belong to a patched table, too.
        let keepsGroups = patch != nil && arrival.groups == nil
        if !keepsGroups { (fresh.groups, fresh.groupsSize) = (arrival.groups?.base, arrival.groups?.size ?? 0) }
        if let table = arrival.table {
            fresh.table = try TableImages(table.descriptor, size: table.size)
        } else if let patch {
            try fresh.table.follow(patch)
        }
        let published: PublishedTable
        do throws(EngineError) {
            let snapshot = try Self.snapshot(fresh, keepsGroups ? old.snapshot : nil)
            published = try PublishedTable(snapshot: snapshot, counters: fresh.counters, layout: layout)
            guard snapshot.interfaceCount == interfaces, snapshot.queuedPlaces <= queuedPlaces else {
                throw EngineError(
                    "take the table",
                    because:
                        "it has \(snapshot.interfaceCount) interfaces, \(snapshot.queuedPlaces) of them with queues, "
                        + "but the engine \(interfaces) and \(queuedPlaces)")
            }
        } catch {
            if arrival.table != nil { fresh.table.unmap() }
            // The image that was patched is neither the one before nor in force.
            if patch != nil { mapping?.table.loseSpare() }
            throw error
        }
        let isCounters = arrival.counters != nil
        if let counters = arrival.counters.take() { _ = counters.leak() }
        if let groups = arrival.groups.take() { _ = groups.leak() }
        obey { $0.table = published }
        // Nothing reads the image before any more.
        if let patch { fresh.table.catchUp(patch) }
        _ = arrival.patch.take()
        mapping = fresh
        if arrival.table != nil { before.table.unmap() }
        if let groups = before.groups, !keepsGroups { SharedMapping.unmap(groups, size: before.groupsSize) }
        if isCounters { SharedMapping.unmap(before.counters, size: before.countersSize) }
    }

    /// The table with its groups: its own, those in memory of their own, or those of the one before.
    private static func snapshot(_ mapping: Mapping, _ before: Snapshot?) throws(EngineError) -> Snapshot {
        let own = mapping.table.snapshot
        if let before { return Snapshot(own, keeping: before) }
        guard let base = mapping.groups else { return own }
        do throws(SnapshotError) {
            return try Snapshot(
                own, groups: UnsafeRawBufferPointer(start: base, count: mapping.groupsSize),
                resting: SharedMapping.rest)
        } catch { throw EngineError("take the table", because: "\(error)") }
    }
}
