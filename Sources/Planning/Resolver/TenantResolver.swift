import Plan
import Reporting
import TopologyFiles
import Wire

/// Finds the customers and applications that the file names for tenants.
struct TenantResolver: NameStage, Diagnosing {
    let named: NamedTopology
    let diagnostics: Diagnostics

    /// Reports names that stand for nothing of their kind.
    func check() {
        for tenant in file.tenants {
            for name in tenant.customers { _ = node(name, [.customer], "customer") }
            // Names of `must` are among these.
            for name in tenant.applications { _ = listed(name) }
        }
        for (_, rules) in file.negotiations() {
            for name in rules.through { _ = listed(name) }
            for name in rules.from where interfaceIndex[name.value] == nil {
                guard nodeIndex[name.value].map({ file.nodes[$0].kind == .customer }) != true else { continue }
                let known = file.interfaces.map(\.name.value) + listedNames([.customer])
                diagnostics.error(
                    name.origin, "there is no interface and no customer \(quoted(name.value))",
                    hint: Spelling.hint(for: name.value, among: known, kind: "interfaces and customers"))
            }
        }
    }
}

extension AddressStage {
    /// What the file says of records; nil: nothing.
    func recordsPlan() -> RecordsPlan? {
        guard let records = file.records else { return nil }
        return RecordsPlan(
            database: records.database?.value, tenants: file.tenants.map(tenantPlan),
            management: records.management.map(managementPlan))
    }

    private func tenantPlan(_ tenant: RawTenant) -> TenantPlan {
        var plan = TenantPlan(
            name: tenant.name.value, customers: tenant.customers.map(\.value),
            addresses: tenant.addresses.map(\.value),
            applications: tenant.applications.map { file.tenantApplication($0.value) },
            must: tenant.must.map(\.value), services: tenant.services, rules: tenant.rules,
            instructions: tenant.instructions)
        plan.origins =
            tenant.customers.compactMap { nodeIndex[$0.value] }.flatMap(senders) + tenant.networks.map(\.value)
        plan.certificates = tenant.certificates.map(\.value)
        return plan
    }

    /// The addresses of a customer, and the networks behind it.
    private func senders(_ node: Int) -> [IPPrefix] {
        let raw = file.nodes[node]
        return legs[node].flatMap(\.addresses).map { IPPrefix(host: $0.address) } + raw.prefixes.map(\.value)
            + raw.mayHave.map(\.value)
    }

    private func managementPlan(_ raw: RawManagement) -> ManagementPlan {
        var plan = ManagementPlan(
            addresses: raw.addresses.map(\.value.address), port: raw.port, certificate: raw.certificate,
            authorities: raw.authorities, origin: raw.origin)
        plan.networks = file.nodes.indices.filter { file.nodes[$0].kind == .customer }.map(senders)
            .filter { $0.contains { !$0.isHost } }
        return plan
    }
}

extension TopologyFile {
    fileprivate func tenantApplication(_ name: String) -> TenantApplication {
        let node = applications.first { $0.name.value == name }?.template ?? nodes.first { $0.name.value == name }
        return TenantApplication(
            name: name, type: node?.type, isPassive: node?.passive ?? false, access: node?.access?.words ?? [])
    }
}
