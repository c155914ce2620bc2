import ControlAPI

/// What a tenant may be told of the topology: its own records, customers and applications, and the interfaces. What is
/// another's looks as if it did not exist.
package struct TenantSight: Sendable {
    package var tenant: String
    /// Its customers: a packet that one of them sends may be shown.
    package var customers: Set<String>
    /// The names that may stand in a sentence.
    package var names: Set<String>

    package init(tenant: String, customers: [String] = [], others names: [String] = []) {
        self.tenant = tenant
        self.customers = Set(customers)
        self.names = self.customers.union(names)
    }

    /// What the file says of the tenant.
    package init(_ tenant: TenantsDescription.Tenant) {
        self.init(
            tenant: tenant.name, customers: tenant.customers,
            others: tenant.applications.map(\.name) + tenant.interfaces)
    }

    /// The same for sentences about a service: the tenant wrote its words.
    package func of(_ service: RecordedService) -> TenantSight {
        var sight = self
        sight.names.formUnion(
            service.addresses + service.ports + service.from + service.distribute + service.sequence)
        return sight
    }

    // MARK: - Sentences

    /// True if a sentence names nothing but what is the tenant's: no line of the file, no record of others, and no other name
    /// in quotes.
    package func hasOnlyOwn(_ sentence: String) -> Bool {
        guard !InstructionProblem.names(sentence, moreThan: tenant) else { return false }
        let parts = sentence.split(separator: "\"", omittingEmptySubsequences: false)
        return parts.enumerated().allSatisfy { $0.offset % 2 == 0 || isOwn($0.element) }
    }

    private func isOwn(_ name: Substring) -> Bool {
        name.hasPrefix("\(tenant)/") || names.contains(String(name))
    }

    /// True if a problem is about nothing but what is the tenant's.
    func hasOnlyOwn(_ problem: InstructionProblem) -> Bool {
        let ownNodes = problem.related.filter { place in
            names.contains { place.hasSuffix(": \"\($0)\" is here") }
        }
        return problem.related.count <= problem.relatedRecords.count + ownNodes.count
            && problem.relatedRecords.allSatisfy { $0.hasPrefix("\(tenant)/") } && hasOnlyOwn(problem.message)
            && problem.hint.map(hasOnlyOwn) ?? true
    }

    // MARK: - Packets

    /// An example without the names of others; nil if no customer of the tenant sends the packet.
    ///
    /// An example is a packet, a colon and its way (`ProofTeller`): `from alice (192.0.2.2) on interface customers to
    /// 203.0.113.97 tcp/80: customers → firewall → inspected`.
    func shown(_ example: String) -> String? {
        guard customers.contains(where: { example.hasPrefix("from \($0) (") }) else { return nil }
        guard let colon = Self.range(of: ": ", in: example[...]) else { return example }
        var ways: [String] = []
        var rest = example[colon.upperBound...]
        while let answer = Self.range(of: Self.answer, in: rest) {
            ways.append(shown(way: rest[..<answer.lowerBound]))
            rest = rest[answer.upperBound...]
        }
        ways.append(shown(way: rest))
        return String(example[..<colon.upperBound]) + ways.joined(separator: Self.answer)
    }

    private static let answer = "; its answer: "
    private static let arrow = " → "

    private func shown(way: Substring) -> String {
        var places: [String] = []
        var rest = way
        while true {
            let next = Self.range(of: Self.arrow, in: rest)
            let place = String(rest[..<(next?.lowerBound ?? rest.endIndex)])
            let isSaid = names.contains(place) || ["no entry", "…", ""].contains(place)
            // What several others do in turn is told once.
            if isSaid || places.last != "…" { places.append(isSaid ? place : "…") }
            guard let next else { return places.joined(separator: Self.arrow) }
            rest = rest[next.upperBound...]
        }
    }

    private static func range(of text: String, in whole: Substring) -> Range<Substring.Index>? {
        var start = whole.startIndex
        while start < whole.endIndex {
            if whole[start...].hasPrefix(text) {
                return start..<whole.index(start, offsetBy: text.count)
            }
            start = whole.index(after: start)
        }
        return nil
    }

    // MARK: - Changes

    /// The changes of an instruction without the nodes of others, and without the number of others' entries.
    package func changes(_ lines: [String]) -> [String] {
        lines.compactMap { line in
            if line.hasPrefix("table: ") {
                let parts = line.split(separator: ",").filter { !$0.hasSuffix(" as before") }
                return parts.isEmpty ? nil : parts.joined(separator: ",")
            }
            let isOwn = names.contains { line.hasPrefix("node \($0) ") || line.hasPrefix("application \($0): ") }
            return isOwn ? line : nil
        }
    }
}
