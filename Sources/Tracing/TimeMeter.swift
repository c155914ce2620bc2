import Engine
import Forwarding
import Wire

/// The times that packets spent in one node, counted by their length.
package struct NodeTimes: Codable, Sendable, Hashable {
    /// The upper bounds in nanoseconds, each itself included: 10 us to 1 s. Another count is of all longer times.
    package static let bounds: [UInt64] = [
        10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000,
        50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000,
    ]

    /// The node.
    package var node: String
    /// Packets of each bound and of no smaller one; the last is of those beyond all bounds.
    package var counts: [UInt64]
    /// The sum of all times in nanoseconds.
    package var sum: UInt64

    /// Nothing counted.
    package init(node: String) {
        self.node = node
        counts = Array(repeating: 0, count: Self.bounds.count + 1)
        sum = 0
    }

    /// Counts a time in nanoseconds.
    package mutating func record(_ time: UInt64) {
        counts[Self.bounds.firstIndex { time <= $0 } ?? Self.bounds.count] &+= 1
        sum &+= time
    }

    /// Counts all that another one has counted.
    package mutating func add(_ other: NodeTimes) {
        for index in counts.indices where other.counts.indices.contains(index) { counts[index] &+= other.counts[index] }
        sum &+= other.sum
    }
}

/// Measures how long packets stay in nodes that pass them on: from the write to a node to the read of what came out.
///
/// A packet is known again by what no chain rewrites. One that comes out in other pieces than it went in is not measured.
/// Memory is bounded by the number of nodes, and by the packets that are remembered.
package final class TimeMeter {
    private struct Place: Hashable {
        var node: Int
        var identifier: UInt64
    }

    private let network: TracedNetwork
    private var reader = FrameReader()
    /// When packets were written to nodes: of the last `capacity` of them.
    private var written: [Place: UInt64] = [:]
    private var order: [Place] = []
    private var times: [Int: NodeTimes] = [:]
    private static let capacity = 65_536

    /// Every node that passes packets on has counts from the beginning.
    package init(_ network: TracedNetwork) {
        self.network = network
        for (index, node) in network.nodes.enumerated() where node.kind == .inline || node.kind == .router {
            times[index] = NodeTimes(node: node.name)
        }
    }

    /// What was counted, in the order of the network's nodes.
    package var report: [NodeTimes] { times.keys.sorted().compactMap { times[$0] } }

    /// Takes a captured frame. Frames come in the order of their times.
    package func add(_ frame: CapturedFrame) {
        guard frame.failure == 0, case .packets(let packets) = reader.read(frame),
            let identifier = packets.first?.likeness
        else { return }
        let mac = frame.direction == .received ? reader.fields.sourceMAC : reader.fields.destinationMAC
        guard let node = network.node(mac, on: frame.interface), times[node] != nil else { return }
        let place = Place(node: node, identifier: identifier)
        let time = frame.time.nanoseconds
        guard frame.direction == .received else { return note(place, at: time) }
        guard let entered = written.removeValue(forKey: place), entered <= time else { return }
        times[node]?.record(time - entered)
    }

    private func note(_ place: Place, at time: UInt64) {
        if written.updateValue(time, forKey: place) == nil { order.append(place) }
        guard order.count > Self.capacity else { return }
        for old in order.prefix(Self.capacity / 4) { written[old] = nil }
        order.removeFirst(Self.capacity / 4)
    }
}
