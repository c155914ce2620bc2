import Engine
import Forwarding
import Topology

/// What the engine has counted up to one moment.
struct CounterPicture: Sendable {
    /// What all entries of one name have counted.
    struct EntryCount: Sendable, Hashable {
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
    }
    /// By name.
    var entries: [String: EntryCount] = [:]
    /// In the order of the interfaces.
    var interfaces: [InterfaceCount] = []
    /// Frames, by the reason's raw value.
    var drops: [UInt64] = Array(repeating: 0, count: DropReason.count)

    /// Frames dropped for a reason.
    subscript(reason: DropReason) -> UInt64 { drops[Int(reason.rawValue)] }

    /// The reasons that have counted more since `before`, with how many frames.
    func risen(since before: CounterPicture) -> [(reason: DropReason, frames: UInt64)] {
        DropReason.allCases.compactMap { reason in
            self[reason] > before[reason] ? (reason, self[reason] - before[reason]) : nil
        }
    }

    /// The risen drops as lines for a person.
    func toldDrops(since before: CounterPicture) -> [String] {
        risen(since: before).map { "\($0.reason.name): \($0.frames). \($0.reason.sentence)" }
    }
}

extension EngineFleet {
    /// What has been counted for a table. On the loop's thread.
    func picture(_ table: ForwardingTable) -> CounterPicture {
        var picture = CounterPicture()
        var counted: Set<Int> = []
        for entry in table.entries {
            var sum = picture.entries[entry.name] ?? CounterPicture.EntryCount()
            if counted.insert(entry.counter).inserted {
                let count = self.entry(entry.counter)
                sum.packets += count.packets
                sum.bytes += count.bytes
            }
            picture.entries[entry.name] = sum
        }
        picture.interfaces = table.interfaces.indices.map { interface($0) }
        for reason in DropReason.allCases { picture.drops[Int(reason.rawValue)] = drops(reason) }
        return picture
    }
}

extension InterfaceCounter {
    /// What has been counted.
    func value(in count: InterfaceCount) -> UInt64 {
        switch self {
        case .received: count.received.packets
        case .receivedBytes: count.received.bytes
        case .receivedDrops: count.receivedDrops
        case .sent: count.sent.packets
        case .sentBytes: count.sent.bytes
        case .sentDrops: count.sentDrops
        }
    }
}
