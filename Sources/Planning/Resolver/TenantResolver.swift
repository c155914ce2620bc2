import Plan
import Reporting
import TopologyFiles

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
    }
}

extension TopologyFile {
    /// What the file says of records; nil: nothing.
    func recordsPlan() -> RecordsPlan? {
        guard let records else { return nil }
        return RecordsPlan(
            database: records.database?.value,
            tenants: tenants.map { tenant in
                TenantPlan(
                    name: tenant.name.value, customers: tenant.customers.map(\.value),
                    addresses: tenant.addresses.map(\.value),
                    applications: tenant.applications.map { tenantApplication($0.value) },
                    must: tenant.must.map(\.value), services: tenant.services, rules: tenant.rules,
                    instructions: tenant.instructions)
            })
    }

    private func tenantApplication(_ name: String) -> TenantApplication {
        let node = applications.first { $0.name.value == name }?.template ?? nodes.first { $0.name.value == name }
        return TenantApplication(
            name: name, type: node?.type, isPassive: node?.passive ?? false, access: node?.access?.words ?? [])
    }
}
