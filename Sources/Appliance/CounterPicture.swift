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
    /// Frames from each interface's nodes that the engine was too slow to read, in the order of the interfaces.
    var ringDrops: [UInt64] = []
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
    func toldDrops(since before: CounterPicture, of plan: AppliancePlan) -> [String] {
        risen(since: before).map { "\($0.reason.name): \($0.frames). \($0.reason.sentence)" }
            + zip(plan.interfaces, zip(ringDrops, before.ringDrops)).compactMap { interface, frames in
                frames.0 > frames.1
                    ? "\(InterfaceCounter.ringDrops.rawValue): \(frames.0 - frames.1). "
                        + InterfaceCounter.ringDropSentence(interface.name)
                    : nil
            }
    }

    /// What has been counted of an interface; nil where there is none.
    func value(of counter: InterfaceCounter, interface index: Int) -> UInt64? {
        guard interfaces.indices.contains(index) else { return nil }
        let count = interfaces[index]
        return switch counter {
        case .received: count.received.packets
        case .receivedBytes: count.received.bytes
        case .receivedDrops: count.receivedDrops
        case .ringDrops: ringDrops.indices.contains(index) ? ringDrops[index] : 0
        case .sent: count.sent.packets
        case .sentBytes: count.sent.bytes
        case .sentDrops: count.sentDrops
        }
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
    /// What happened to frames that are counted as `ringDrops`, for a person.
    public static func ringDropSentence(_ interface: String) -> String {
        "The TAP's ring of interface \(interface) was full: dropped before the engine read them."
    }
}
