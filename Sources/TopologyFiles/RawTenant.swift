import Plan
import Reporting
import Wire

/// A tenant as the file has it: a customer that manages services, and what it may do.
package struct RawTenant: Sendable {
    package var name: Located<String>
    package var customers: [Located<String>] = []
    package var addresses: [Located<IPPrefix>] = []
    package var applications: [Located<String>] = []
    package var must: [Located<String>] = []
    package var services = TenantPlan.usualServices
    /// How many rules the access lists may have together.
    package var rules = TenantPlan.usualRules
    /// In a minute.
    package var instructions = TenantPlan.usualInstructions
}

/// Where the records of tenants are kept, as the file has it.
package struct RawRecords: Sendable {
    package var origin: SourceOrigin
    /// nil: in the topology's own folder.
    package var database: Located<String>?
}

/// Who judges an application's packets by tenants' access lists, as the file has it.
package struct RawAccess: Sendable {
    package var origin: SourceOrigin
    package var isByEngine = false
    package var byApplication: AccessPlan.Enforcement?

    /// In the words of the file.
    package var words: [String] {
        AccessPlan(application: "", isByEngine: isByEngine, byApplication: byApplication).words
    }
}
