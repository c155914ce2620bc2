import ControlAPI
import Forwarding

extension StatusReport.Group {
    /// The groups of a table that nodes join, by interface and address; nil if there are none.
    static func all(_ table: ForwardingTable, joined: Set<GroupJoiner>) -> [StatusReport.Group]? {
        let names = NodeNames(table)
        var groups: [String: StatusReport.Group] = [:]
        for joiner in table.joiners {
            guard let node = names.node(joiner.mac, on: joiner.interface) else { continue }
            let interface = table.interfaces[joiner.interface].name
            let key = "\(interface) \(joiner.group)"
            var group =
                groups[key]
                ?? StatusReport.Group(address: "\(joiner.group)", interface: interface, joined: [], absent: [])
            if joined.contains(joiner) { group.joined.append(node) } else { group.absent.append(node) }
            groups[key] = group
        }
        return groups.isEmpty
            ? nil
            : groups.sorted { $0.key < $1.key }.map { _, group in
                var group = group
                group.joined.sort()
                group.absent.sort()
                return group
            }
    }
}
