import Forwarding
import Wire

/// The rules of specificity, read off the entries one by one: slow, and plain. What the snapshot decides is judged by it.
public struct NaiveReading {
    let table: ForwardingTable

    /// The reading of a table that has no ties.
    public init(of table: ForwardingTable) {
        self.table = table
    }

    /// The index of the entry that the packet matches most specifically; nil where it matches none.
    public func matchingEntry(_ flow: FlowFields, from mac: MACAddress, on interface: Int) -> Int? {
        table.entries.indices
            .filter { matches(table.entries[$0], flow, mac, interface) }
            .min { priority(table.entries[$0], flow).lexicographicallyPrecedes(priority(table.entries[$1], flow)) }
    }

    private func matches(_ entry: Entry, _ flow: FlowFields, _ mac: MACAddress, _ interface: Int) -> Bool {
        guard entry.receivedInterface == interface, entry.sourceMAC == nil || entry.sourceMAC == mac,
            entry.source?.contains(flow.source) != false, entry.destination?.contains(flow.destination) != false
        else { return false }
        guard let number = entry.servicePort.protocolNumber else { return true }
        guard number == flow.protocolNumber else { return false }
        guard flow.hasPorts else { return true }
        return entry.servicePort.ports.contains(
            entry.direction == .request ? flow.destinationPort : flow.sourcePort)
    }

    /// The lesser wins; written so that "before" is the lesser number.
    private func priority(_ entry: Entry, _ flow: FlowFields) -> [Int] {
        let addresses = [
            entry.kind == .sequencing ? 0 : 1,
            entry.sourceMAC == nil ? 1 : 0,
            entry.source.map { 128 - $0.length } ?? 129,
            entry.destination.map { 128 - $0.length } ?? 129,
        ]
        let port = entry.servicePort
        if flow.hasPorts { return addresses + [port.protocolNumber == nil ? 1 << 20 : port.ports.count] }
        if port.protocolNumber == nil { return addresses + [2] }
        if port.ports.count == 65536 { return addresses + [0] }
        return addresses + [1, Int(port.ports.lowerBound), port.ports.count]
    }

    /// True where the two match the same packets and neither is more specific.
    public static func tie(_ left: Entry, _ right: Entry) -> Bool {
        guard left.kind == right.kind, left.receivedInterface == right.receivedInterface,
            left.sourceMAC == right.sourceMAC, left.source == right.source, left.destination == right.destination,
            left.servicePort.protocolNumber == right.servicePort.protocolNumber
        else { return false }
        let (a, b) = (left.servicePort.ports, right.servicePort.ports)
        if left.direction != right.direction { return a.count == b.count }
        if a == b { return true }
        let aHoldsB = a.lowerBound <= b.lowerBound && b.upperBound <= a.upperBound
        let bHoldsA = b.lowerBound <= a.lowerBound && a.upperBound <= b.upperBound
        return a.overlaps(b) && !aHoldsB && !bHoldsA
    }
}

extension ForwardingTable {
    /// Takes the later one of every two entries that tie away, until the table compiles.
    ///
    /// - Returns: What stands in the way beside ties; empty where the table compiles now.
    public mutating func removeTies() -> [TableProblem] {
        while true {
            do throws(TableError) {
                _ = try TableCompiler.compile(self, generation: 1)
                return []
            } catch {
                var dropped: Set<Int> = []
                for problem in error.problems {
                    guard case .tie(let first, let second) = problem,
                        NaiveReading.tie(entries[first.index], entries[second.index])
                    else { return error.problems }
                    dropped.insert(max(first.index, second.index))
                }
                entries = entries.enumerated().filter { !dropped.contains($0.offset) }.map(\.element)
            }
        }
    }
}
