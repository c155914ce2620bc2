import Plan
import Reporting
import Wire

/// A tenant as the file has it: a customer that manages services, and what it may do.
package struct RawTenant: Sendable {
    package var name: Located<String>
    /// True if it is an application that asks for mappings, and no tenant of the API.
    package var isApplication = false
    package var customers: [Located<String>] = []
    /// Networks of theirs among the customers.
    package var networks: [Located<IPPrefix>] = []
    package var addresses: [Located<IPPrefix>] = []
    package var applications: [Located<String>] = []
    package var must: [Located<String>] = []
    package var services = TenantPlan.usualServices
    /// How many rules the access lists may have together.
    package var rules = TenantPlan.usualRules
    /// In a minute.
    package var instructions = TenantPlan.usualInstructions
    /// The names in their client certificates.
    package var certificates: [Located<String>] = []
}

/// Where the records of tenants are kept, as the file has it.
package struct RawRecords: Sendable {
    package var origin: SourceOrigin
    /// nil: in the topology's own folder.
    package var database: Located<String>?
    /// nil: there is no management address.
    package var management: RawManagement?
}

/// The management address, as the file has it.
package struct RawManagement: Sendable {
    package var origin: SourceOrigin
    package var addresses: [Located<IPPrefix>] = []
    package var port = ManagementPlan.usualPort
    /// The interfaces whose customers can reach it: the first one is that of its node.
    package var interfaces: [Located<String>] = []
    /// nil: one is made when the topology comes up.
    package var certificate: ManagementPlan.Certificate?
    /// The authorities of client certificates.
    package var authorities: ManagementPlan.File?
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
