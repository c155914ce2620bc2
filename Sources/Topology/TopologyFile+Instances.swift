/// How the instances of applications differ from what the file says.
public struct InstanceChanges: Sendable, Hashable {
    /// For each application: the instances that were added, made as its others are.
    public var added: [String: [String]]
    /// The instances that were removed.
    public var removed: Set<String>

    /// Memberwise.
    public init(added: [String: [String]] = [:], removed: Set<String> = []) {
        self.added = added
        self.removed = removed
    }
}

extension TopologyFile {
    /// The name of the next instance of an application: its own, and the lowest number that no node has with it.
    ///
    /// - Parameter names: Names that are taken beside those of the file.
    public func nextInstance(of application: String, besides names: some Sequence<String>) -> String {
        let taken = Set(nodes.map(\.name.value)).union(names)
        var number = 1
        while taken.contains("\(application)-\(number)") { number += 1 }
        return "\(application)-\(number)"
    }
}
