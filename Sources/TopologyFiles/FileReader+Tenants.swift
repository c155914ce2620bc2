import Plan
import Reporting
import Wire
import Yams

extension FileReader {
    /// The tenants, and where their records are kept.
    func readTenants(_ fields: Fields, _ file: inout TopologyFile) {
        if let node = fields["records"] {
            let own = nodes.fields(node, "`records`", Grammar.recordsMapping)
            var records = RawRecords(origin: fields.origin(of: "records"))
            records.database = nodes.text(own["database"], "the database")
            if let value = own["manage"] { records.management = management(value, own.origin(of: "manage")) }
            file.records = records
        }
        guard let node = fields["tenants"] else { return }
        for (name, value) in nodes.entries(node, "tenants").pairs {
            if let fault = RecordName.fault(of: name.value) {
                diagnostics.error(
                    name.origin, "\(quoted(name.value, seen: true)) cannot be the name of a tenant: \(fault)",
                    hint: RecordName.hint)
            }
            file.tenants.append(tenant(name, value))
        }
        checkDistinct(file.tenants.map(\.name))
        checkApart(file.tenants)
        if file.records == nil, let first = file.tenants.first {
            diagnostics.error(
                first.name.origin, "there are tenants, and no records for them", hint: "add `records: {}`")
        }
    }

    private func tenant(_ name: Located<String>, _ node: Node) -> RawTenant {
        let subject = "tenant \(quoted(name.value))"
        let fields = nodes.fields(node, subject, Grammar.tenant)
        var tenant = RawTenant(name: name)
        readCustomers(fields["customers"], subject, &tenant)
        tenant.certificates = certificateNames(fields["certificate"], subject)
        tenant.addresses = nodes.list(fields["addresses"]).compactMap { nodes.prefix($0, "an address of \(subject)") }
        tenant.applications = nodes.texts(fields["applications"], "an application of \(subject)")
        tenant.must = nodes.texts(fields["must"], "an application of `must`")
        if fields.isMapping, nodes.list(fields["addresses"]).isEmpty {
            diagnostics.error(
                name.origin, "\(subject) has no addresses", hint: "add `addresses: …`: the service addresses of theirs")
        }
        if fields.isMapping, nodes.list(fields["applications"]).isEmpty {
            diagnostics.error(
                fields.origin(of: "applications"), "\(subject) has no applications",
                hint: "add `applications: [ … ]`: what they may put into a chain")
        }
        for (index, one) in tenant.must.enumerated() {
            if !tenant.applications.contains(where: { $0.value == one.value }) {
                diagnostics.error(
                    one.origin, "\(subject) must use \(quoted(one.value)), which is none of its applications",
                    hint: "add it to `applications`")
            } else if tenant.must[..<index].contains(where: { $0.value == one.value }) {
                diagnostics.error(one.origin, "\(quoted(one.value)) is in `must` twice", hint: "remove one")
            }
        }
        if let limits = fields["limits"] {
            let own = nodes.fields(limits, "the limits of \(subject)", Grammar.tenantLimits)
            if let most = nodes.integer(own["services"], "the number of services", in: Grammar.tenantServices) {
                tenant.services = most.value
            }
            if let most = nodes.integer(own["rules"], "the number of rules", in: Grammar.tenantRules) {
                tenant.rules = most.value
            }
            if let text = nodes.text(own["instructions"], "the rate of instructions") {
                if let rate = InstructionRate(text.value) {
                    tenant.instructions = rate.perMinute
                } else {
                    diagnostics.error(
                        text.origin, "\(quoted(text.value)) is no rate of instructions",
                        hint: "write 1/min to 1000/s, such as 10/s")
                }
            }
        }
        return tenant
    }

    /// Nobody may use what is another's, so no address has two owners.
    private func checkApart(_ tenants: [RawTenant]) {
        for (index, tenant) in tenants.enumerated() {
            for address in tenant.addresses {
                for other in tenants[..<index] {
                    guard
                        let theirs = other.addresses.first(where: {
                            $0.value.contains(address.value) || address.value.contains($0.value)
                        })
                    else { continue }
                    diagnostics.error(
                        address.origin,
                        "\(address.value) of tenant \(quoted(tenant.name.value)) and \(theirs.value) of tenant "
                            + "\(quoted(other.name.value)) share addresses",
                        hint: "give every address to one tenant",
                        related: [(theirs.origin, "the other tenant's")])
                }
            }
        }
    }
}

/// How many instructions somebody may give: `10/s`, `30/min`.
struct InstructionRate {
    var perMinute: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let count = Int(parts[0].filter { $0 != " " }), (1...60_000).contains(count) else {
            return nil
        }
        switch parts[1].filter({ $0 != " " }) {
        case "s" where count <= 1000: perMinute = count * 60
        case "min", "m": perMinute = count
        default: return nil
        }
    }
}
