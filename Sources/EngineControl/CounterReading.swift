import ControlAPI
import Engine
import EventLoop
import Forwarding
import Plan

/// The engines' counters at one moment.
package struct CounterReading: Sendable {
    /// The sum of all entries of one name.
    package struct EntryCount: Sendable, Hashable {
        package var packets: UInt64 = 0
        package var bytes: UInt64 = 0
    }
    /// By name.
    package var entries: [String: EntryCount] = [:]
    /// In the order of the interfaces.
    package var interfaces: [InterfaceCount] = []
    /// Frames from each interface's nodes that the engine was too slow to read, in the order of the interfaces.
    package var ringDrops: [UInt64] = []
    /// Frames, by the reason's raw value.
    package var drops: [UInt64] = Array(repeating: 0, count: DropReason.count)

    /// By reason the last frame that was dropped for it, where it could be read.
    var lastDrops: [DropReason: StatusReport.Dropped] = [:]

    /// Memberwise.
    package init(
        entries: [String: EntryCount] = [:], interfaces: [InterfaceCount] = [], ringDrops: [UInt64] = [],
        drops: [UInt64] = Array(repeating: 0, count: DropReason.count),
        lastDrops: [DropReason: StatusReport.Dropped] = [:]
    ) {
        self.entries = entries
        self.interfaces = interfaces
        self.ringDrops = ringDrops
        self.drops = drops
        self.lastDrops = lastDrops
    }

    /// Frames dropped for a reason.
    package subscript(reason: DropReason) -> UInt64 { drops[Int(reason.rawValue)] }

    /// The reasons that have counted more since `before`, with how many frames; what kernels say by themselves is none.
    func risen(since before: CounterReading) -> [(reason: DropReason, frames: UInt64)] {
        DropReason.allCases.filter { $0 != .housekeeping }.compactMap { reason in
            self[reason] > before[reason] ? (reason, self[reason] - before[reason]) : nil
        }
    }

    /// The risen drops as lines for a person.
    package func dropSummary(since before: CounterReading, of plan: AppliancePlan) -> [String] {
        risen(since: before).map { risen in
            let last = lastDrops[risen.reason].map { " Last: \($0.sentence)." } ?? ""
            return "\(risen.reason.name): \(risen.frames). \(risen.reason.sentence)\(last)"
        }
            + zip(plan.interfaces, zip(ringDrops, before.ringDrops)).compactMap { interface, frames in
                frames.0 > frames.1
                    ? "\(InterfaceCounter.ringDrops.rawValue): \(frames.0 - frames.1). "
                        + StatusReport.Interface.ringDropSentence(interface.name)
                    : nil
            }
    }

    /// A counter of an interface; nil if there is no such interface.
    package func value(of counter: InterfaceCounter, interface index: Int) -> UInt64? {
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
    /// The counters of a table. On the loop's thread.
    package func counterReading(_ table: ForwardingTable) -> CounterReading {
        loop.preconditionCurrent()
        var reading = CounterReading()
        var counted: Set<Int> = []
        for entry in table.entries {
            var sum = reading.entries[entry.name] ?? CounterReading.EntryCount()
            if counted.insert(entry.counter).inserted {
                let count = self.entry(entry.counter)
                // Engines write these values, so a sum wraps and never traps.
                sum.packets &+= count.packets
                sum.bytes &+= count.bytes
            }
            reading.entries[entry.name] = sum
        }
        reading.interfaces = table.interfaces.indices.map { interface($0) }
        for reason in DropReason.allCases { reading.drops[Int(reason.rawValue)] = drops(reason) }
        for reason in DropReason.allCases where reading[reason] > 0 {
            reading.lastDrops[reason] = lastDrop(reason).map { StatusReport.Dropped($0, table) }
        }
        return reading
    }
}

extension StatusReport.Dropped {
    /// Describes a dropped frame by the table's names.
    package init(_ frame: DroppedFrame, _ table: ForwardingTable) {
        let leg = table.sources.first { $0.interface == frame.interface && $0.mac == frame.sourceMAC }
        self.init(
            node: leg?.node, mac: "\(frame.sourceMAC)",
            interface: table.interfaces.indices.contains(frame.interface)
                ? table.interfaces[frame.interface].name : "?",
            source: frame.source.map { "\($0)" }, destination: frame.destination.map { "\($0)" })
    }
}
