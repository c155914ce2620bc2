import Forwarding
import Plan
import Planning
import Reporting
import TopologyFiles
import Wire

/// The plan of a text, or the test fails with what is wrong with it.
func plan(_ text: String, name: String? = nil) throws -> AppliancePlan {
    try Planner.plan(TopologyFile.parse(text, path: "t.yaml"), name: name)
}

/// What is wrong with a text: empty where nothing is.
func problems(_ text: String) -> [TopologyProblem] {
    do throws(TopologyError) {
        _ = try Planner.plan(TopologyFile.parse(text, path: "t.yaml"))
        return []
    } catch {
        return error.problems
    }
}

extension AppliancePlan {
    func node(_ name: String) -> NodePlan {
        nodes.first { $0.name == name }
            ?? NodePlan(
                name: "absent", kind: .customer, origin: .line(SourcePosition(line: 1, column: 1)), namespace: "",
                legs: [])
    }

    /// Who has a MAC address: `node.interface`, `engine.interface`, or the address itself.
    func owner(_ mac: MACAddress) -> String {
        for node in nodes {
            for leg in node.legs where leg.mac == mac { return "\(node.name).\(interfaces[leg.interface].name)" }
        }
        for interface in table.interfaces {
            if interface.mac == mac { return "engine.\(interface.name)" }
            if interface.aliases.contains(mac) { return "alias.\(interface.name)" }
        }
        return mac.description
    }

    /// The entries as a person would read them aloud.
    var entryLines: [String] {
        table.entries.map { entry in
            var line =
                "\(entry.kind == .distribution ? "D" : "S") \(entry.name): \(interfaces[entry.receivedInterface].name)"
            if let mac = entry.sourceMAC { line += " from \(owner(mac))" }
            if let source = entry.source { line += " src \(source)" }
            if let destination = entry.destination { line += " dst \(destination)" }
            if let number = entry.servicePort.protocolNumber {
                let ports = entry.servicePort.ports
                line += " \(number)" + (ports == 0...65535 ? "" : "/\(ports.lowerBound)")
                if ports.lowerBound != ports.upperBound, ports != 0...65535 { line += "-\(ports.upperBound)" }
            }
            if let rewrite = entry.rewriteSource { line += " as \(rewrite)" }
            let targets = entry.targets.map { target in
                var text = "\(interfaces[target.interface].name)!"
                switch target.address {
                case .mac(let mac): text += owner(mac)
                case .network(let address): text += "net \(address)"
                case .neighbour(let via): text += via.map { "via \($0)" } ?? "neighbour"
                }
                if let source = target.sourceMAC { text += " by \(owner(source))" }
                return text
            }
            return line + " -> " + targets.joined(separator: " + ")
        }
    }
}

/// The picture of the design, dual stack, with everything left to the defaults.
let picture = """
    name: picture
    interfaces:
      customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
      inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
      inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
      servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
    customers:
      alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
      bob:   { interface: customers }
    applications:
      ids: { type: intrusion-detection, passive: true, attach: { in: inspection } }
      fw:  { type: firewall, attach: { in: inspection, out: inspected } }
      web: { type: web-server, attach: servers }
    services:
      shop:
        address: [203.0.113.80, "2001:db8:cb::80"]
        ports: [tcp/80]
        distribute: [ids, fw]
        sequence: [fw, web]

    """
