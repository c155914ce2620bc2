/// What rates are sorted by.
public enum RateOrder: String, Sendable, CaseIterable {
    case packets, bits, drops, processor, memory, time, name

    /// True if the first row goes before the second: the largest first, names by the alphabet.
    func precedes(_ one: RateReport.Row, _ other: RateReport.Row) -> Bool {
        let (left, right) = (value(one), value(other))
        if left != right { return left > right }
        return (one.kind.rawValue, one.name, one.direction ?? "") < (
            other.kind.rawValue, other.name, other.direction ?? ""
        )
    }

    /// The value to sort by. What has none goes behind what has 0.
    private func value(_ row: RateReport.Row) -> Double {
        switch self {
        case .packets: row.packets ?? -1
        case .bits: row.bits ?? -1
        case .drops: row.drops ?? -1
        case .processor: row.processor ?? -1
        case .memory: row.memory.map(Double.init) ?? -1
        case .time: row.p99.map(Double.init) ?? -1
        case .name: 0
        }
    }
}

extension RateReport {
    /// The rows that contain a text in their kind, name or direction, sorted.
    ///
    /// - Parameters:
    ///   - kind: Only rows of this kind; nil: of all.
    ///   - filter: The text, in any case; empty: no filter.
    ///   - isReversed: The smallest first.
    public func rows(
        of kind: Kind? = nil, filter: String = "", by order: RateOrder, isReversed: Bool = false
    ) -> [Row] {
        let wanted = filter.lowercased()
        let chosen = rows.filter { row in
            guard kind == nil || row.kind == kind else { return false }
            let text = [row.kind.rawValue, row.name, row.direction ?? ""].joined(separator: " ").lowercased()
            return wanted.isEmpty || text.contains(wanted)
        }
        return chosen.sorted { isReversed ? order.precedes($1, $0) : order.precedes($0, $1) }
    }
}
