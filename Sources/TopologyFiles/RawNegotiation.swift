import Plan
import Reporting
import Wire

/// What an application may ask for, as the file has it.
package struct RawNegotiation: Sendable {
    package var origin: SourceOrigin
    package var addresses: [Located<IPAddress>] = []
    package var ports: [Located<PortSpecification>] = []
    /// The applications in front of it.
    package var through: [Located<String>] = []
    /// Empty: every interface that has customers.
    package var from: [Located<String>] = []
    /// In seconds.
    package var lifetime = NegotiationPlan.usualLifetime
    package var mappings = NegotiationPlan.usualMappings
    package var requests = NegotiationPlan.usualRequests
}

/// A mapping that a check looks for, as the file has it.
package struct RawMappingExpectation: Sendable {
    package var application: Located<String>
    package var expectation: MappingExpectation
}

extension TopologyFile {
    /// The applications that may ask for mappings, each once: its name, and what it may.
    package func negotiations() -> [(name: Located<String>, rules: RawNegotiation)] {
        var seen: Set<String> = []
        return nodes.compactMap { node in
            guard let rules = node.negotiation else { return nil }
            let name = node.application ?? node.name.value
            guard seen.insert(name).inserted else { return nil }
            return (Located(name, node.name.origin), rules)
        }
    }

    /// The same as owners of records: what they get is judged as what tenants want.
    func negotiators() -> [RawTenant] {
        negotiations().map { name, rules in
            var owner = RawTenant(name: name)
            owner.isApplication = true
            owner.addresses = rules.addresses.map { Located(IPPrefix(host: $0.value), $0.origin) }
            owner.applications = rules.through + [name]
            owner.must = rules.through + [name]
            owner.services = rules.mappings
            owner.rules = AccessReader.mostRules
            return owner
        }
    }
}
