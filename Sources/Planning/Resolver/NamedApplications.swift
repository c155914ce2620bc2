import Plan
import Reporting
import TopologyFiles

/// An application whose health Tapline looks after, with the nodes that are its instances.
struct ResolvedApplication: Sendable {
    let raw: RawApplication
    /// Its instances, as indices of nodes, in the order of the file. If a chain names the application, the first one
    /// means all.
    let members: [Int]
    /// The table's groups: one for all instances, or with `copies` one for each.
    let groups: Range<Int>

    /// True if each instance gets every packet.
    var isCopied: Bool { raw.resolvedRedundancy == .copies }
}

/// The applications with their instances.
struct NamedApplications: Sendable {
    /// The nodes by name; an application's name means its first instance.
    let nodeIndex: [String: Int]
    let applications: [ResolvedApplication]
    /// For each node: the application that it is an instance of.
    let applicationIndex: [Int?]

    /// Finds the instances of each application; notes names that two have.
    init(_ file: TopologyFile, _ nodes: NamedNodes, _ diagnostics: Diagnostics) {
        var nodeIndex = nodes.index
        var applications: [ResolvedApplication] = []
        var applicationIndex = [Int?](repeating: nil, count: file.nodes.count)
        var groups = 0
        for raw in file.applications {
            let members = file.nodes.indices.filter {
                file.nodes[$0].application == raw.name.value && nodeIndex[file.nodes[$0].name.value] == $0
            }
            guard let lead = members.first else { continue }
            if let other = nodeIndex[raw.name.value], file.nodes[other].application != raw.name.value {
                file.tellSharedName(raw.name, "application", other, diagnostics)
            } else if nodeIndex[raw.name.value] == nil {
                nodeIndex[raw.name.value] = lead
            }
            for member in members { applicationIndex[member] = applications.count }
            let count = raw.resolvedRedundancy == .copies ? members.count : 1
            applications.append(
                ResolvedApplication(raw: raw, members: members, groups: groups..<groups + count))
            groups += count
        }
        if groups > Self.maximumGroups {
            diagnostics.error(
                file.applications.last?.name.origin ?? file.name.origin,
                "the applications need \(groups) groups of instances, but the engine has room for \(Self.maximumGroups)",
                hint: "give fewer applications instances or health checks of their own")
        }
        self.nodeIndex = nodeIndex
        self.applications = applications
        self.applicationIndex = applicationIndex
    }

    /// The most groups that a table has room for.
    private static let maximumGroups = 1_024
}
