import Wire

/// One sight of a probe on a node's device.
struct Sighting: Sendable, Hashable {
    var node: String
    var interface: String
    var nanoseconds: UInt64
}

/// The way of a packet, in order, compared with its expected way.
struct ProbeWay {
    /// Whom it starts from.
    let origin: String
    /// The sights, in the order of their times.
    let sightings: [Sighting]
    /// Stage after stage, within a stage in any order.
    let stages: [[String]]

    init(origin: String, sightings: [Sighting], stages: [[String]]) {
        self.origin = origin
        self.sightings = sightings.sorted { $0.nanoseconds < $1.nanoseconds }
        self.stages = stages
    }

    /// True if the packet has reached every expected node; it may have reached others, too.
    var isComplete: Bool { missing.isEmpty }

    /// Those who have not seen it as often as they should.
    private var missing: [String] {
        var left = sightings.map(\.node)
        return stages.joined().filter { node in
            guard let index = left.firstIndex(of: node) else { return true }
            left.remove(at: index)
            return false
        }
    }

    /// The faults of the trace, one sentence each.
    var faults: [String] {
        var summary = missing.map { "\($0) did not see it" }
        var left = stages.joined().map { $0 }
        for sighting in sightings {
            if let index = left.firstIndex(of: sighting.node) {
                left.remove(at: index)
            } else if stages.joined().contains(sighting.node) {
                summary.append("\(sighting.node) saw it again, on \(sighting.interface)")
            } else {
                summary.append("\(sighting.node) saw it on \(sighting.interface), and should not have")
            }
        }
        guard summary.isEmpty else { return summary }
        // Everybody has seen it as often as they should: now the order.
        var rest = sightings[...]
        for (index, stage) in stages.enumerated() {
            let came = rest.prefix(stage.count).map(\.node)
            rest = rest.dropFirst(stage.count)
            for (node, later) in early(came, stage, index) { summary.append("\(node) saw it before \(later)") }
            if !summary.isEmpty { break }
        }
        return summary
    }

    /// The nodes of later stages that saw the packet too early, in the time of this stage. Each comes with a node that
    /// should have seen the packet before it.
    private func early(_ came: [String], _ stage: [String], _ index: Int) -> [(String, String)] {
        var awaited = stage
        let others = came.filter { node in
            guard let place = awaited.firstIndex(of: node) else { return true }
            awaited.remove(at: place)
            return false
        }
        return others.map { ($0, awaited.joined(separator: " and ")) }
    }

    /// `alice → (inspection) ids, firewall → (servers) web`
    var summary: String {
        var text = origin
        var last: String?
        for sighting in sightings {
            text += sighting.interface == last ? ", \(sighting.node)" : " → (\(sighting.interface)) \(sighting.node)"
            last = sighting.interface
        }
        return sightings.isEmpty ? "\(origin) → no node" : text
    }

    /// `ids and firewall, then web`
    static func summary(_ stages: [[String]]) -> String {
        guard !stages.joined().isEmpty else { return "nobody" }
        return stages.map { $0.joined(separator: " and ") }.joined(separator: ", then ")
    }
}
