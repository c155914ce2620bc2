/// Which legs of a node are in two of its plans, by their places in each. A node has one leg on an interface.
public struct LegMatch: Sendable {
    /// Those that are in both.
    public private(set) var kept: [(old: Int, new: Int)] = []
    /// Those of the new plan alone.
    public private(set) var added: [Int] = []
    /// Those of the old plan alone.
    public private(set) var removed: [Int] = []

    /// Compares by the interfaces' places, which stay the same.
    public init(_ old: [LegPlan], _ new: [LegPlan]) {
        for (place, leg) in new.enumerated() {
            if let before = old.firstIndex(where: { $0.interface == leg.interface }) {
                kept.append((before, place))
            } else {
                added.append(place)
            }
        }
        removed = old.indices.filter { before in !kept.contains { $0.old == before } }
    }
}
