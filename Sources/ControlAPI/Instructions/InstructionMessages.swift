import Reporting

/// What the process of records says to the control process: a line of JSON each. It can say nothing else.
package enum InstructionRequest: Codable, Sendable {
    /// The database is open: these are all records. They come into force, as far as the file lets them.
    case begin(services: [RecordedService], access: [RecordedAccess])
    /// The database cannot be opened.
    case failed(ApplianceError)
    /// What would change: it is planned and proved, and nothing is done.
    case prepare(RecordChange)
    /// Do what was prepared.
    case commit(number: Int)
    /// What the file says of tenants, and what is in force.
    case describe
    /// What the services of one tenant count, and how its applications are. The answer is at most half a second old.
    case observe(tenant: String)
    /// How the access lists of one tenant do, or of all.
    case access(tenant: String?)
}

/// What an instruction wants of records.
package struct RecordChange: Codable, Sendable {
    /// Services that are made or replaced.
    package var put: [RecordedService]
    /// The ids of services that are removed.
    package var remove: [String]
    /// Access lists that are made or replaced.
    package var putAccess: [RecordedAccess]
    /// The ids of access lists that are removed.
    package var removeAccess: [String]

    package init(
        put: [RecordedService] = [], remove: [String] = [], putAccess: [RecordedAccess] = [],
        removeAccess: [String] = []
    ) {
        self.put = put
        self.remove = remove
        self.putAccess = putAccess
        self.removeAccess = removeAccess
    }

    /// True if it is about access lists.
    package var isAboutAccess: Bool { !putAccess.isEmpty || !removeAccess.isEmpty }
    /// True if it changes services.
    package var changesServices: Bool { !put.isEmpty || !remove.isEmpty }

    /// The ids of all that it is about.
    package var ids: [String] { put.map(\.id) + remove + putAccess.map(\.id) + removeAccess }
}

/// What the control process answers: a line of JSON each.
package enum InstructionAnswer: Codable, Sendable {
    /// To `begin` and `describe`.
    case description(TenantsDescription)
    /// To `access`: those that are in force.
    case access([AccessState])
    /// To `observe`.
    case observation(TenantObservation)
    /// To `prepare`: it can be done.
    case prepared(PreparedInstruction)
    /// To `commit`: every engine decides by it.
    case committed(CommittedInstruction)
    /// To `prepare` and `commit`: it cannot be done, and nothing has changed.
    case refused(InstructionRefusal)
    /// To all: the control process cannot do it now.
    case error(ApplianceError)
}

/// An instruction that has been planned and proved.
package struct PreparedInstruction: Codable, Sendable {
    /// What `commit` names.
    package var number: Int
    /// What it changes, a line each.
    package var changes: [String]
    /// What is hardly intended in its access lists.
    package var remarks: [RecordRemark]

    package init(number: Int, changes: [String], remarks: [RecordRemark] = []) {
        self.number = number
        self.changes = changes
        self.remarks = remarks
    }
}

/// An instruction that is in force.
package struct CommittedInstruction: Codable, Sendable {
    /// The generation of the table that every engine decides by.
    package var generation: UInt64

    package init(generation: UInt64) { self.generation = generation }
}

/// Why an instruction cannot be done.
package struct InstructionRefusal: Codable, Sendable {
    /// The stage that found it.
    package enum Stage: String, Codable, Sendable {
        /// A value has no right form.
        case invalid
        /// The tenant may not do that.
        case forbidden
        /// It contradicts the file or another record, or a packet would suffer.
        case conflict
        /// It was proved, and an application did not take it: later it may.
        case unavailable
    }

    package var stage: Stage
    package var problems: [InstructionProblem]
    /// What a program said, for the operator alone.
    package var reason: String?

    package init(stage: Stage, problems: [InstructionProblem], reason: String? = nil) {
        self.stage = stage
        self.problems = problems
        self.reason = reason
    }
}

/// One thing that is wrong with an instruction.
package struct InstructionProblem: Codable, Sendable {
    /// The record; nil: a line of the file.
    package var record: String?
    /// A JSON pointer into the record; nil: the record as a whole.
    package var pointer: String?
    /// One sentence.
    package var message: String
    package var hint: String?
    /// A packet that shows the problem, and its way until then.
    package var example: String?
    /// Other places that it has to do with, for the operator: lines of the file, and records.
    package var related: [String]
    /// The records among them.
    package var relatedRecords: [String]

    package init(
        record: String?, pointer: String?, message: String, hint: String? = nil, example: String? = nil,
        related: [String] = [], relatedRecords: [String] = []
    ) {
        self.record = record
        self.pointer = pointer
        self.message = message
        self.hint = hint
        self.example = example
        self.related = related
        self.relatedRecords = relatedRecords
    }
}

/// What the file says of tenants, and how their records are.
package struct TenantsDescription: Codable, Sendable {
    /// A tenant, and what it may do.
    package struct Tenant: Codable, Sendable {
        package var name: String
        package var customers: [String]
        package var addresses: [String]
        package var applications: [Application]
        package var must: [String]
        /// The interfaces that services may be offered on.
        package var interfaces: [String]
        /// How many services it may have.
        package var services: Int
        /// How many rules its access lists may have together.
        package var rules: Int
        /// How many instructions it may give in a minute.
        package var instructions: Int
        /// The prefixes that its customers send from.
        package var origins: [String] = []
        /// The names in its client certificates.
        package var certificates: [String] = []

        package init(
            name: String, customers: [String], addresses: [String], applications: [Application], must: [String],
            interfaces: [String], services: Int, rules: Int, instructions: Int
        ) {
            self.name = name
            self.customers = customers
            self.addresses = addresses
            self.applications = applications
            self.must = must
            self.interfaces = interfaces
            self.services = services
            self.rules = rules
            self.instructions = instructions
        }
    }

    /// An application that a tenant may put into chains.
    package struct Application: Codable, Sendable {
        package var name: String
        /// `firewall`, for example; nil if the file does not say it.
        package var type: String?
        /// True if it gets copies, and is named in `distribute`.
        package var passive: Bool
        /// Who judges its packets by access lists: `engine`, `application`; empty: no lists are kept for it.
        package var access: [String]

        package init(name: String, type: String?, passive: Bool, access: [String]) {
            self.name = name
            self.type = type
            self.passive = passive
            self.access = access
        }
    }

    /// A record that is not in force, or not as a whole.
    package struct SetAside: Codable, Sendable, Hashable {
        package var id: String
        package var reasons: [String]

        package init(id: String, reasons: [String]) {
            self.id = id
            self.reasons = reasons
        }
    }

    package var topology: String
    package var tenants: [Tenant]
    package var setAside: [SetAside]
    /// Access lists of which the file no longer allows every rule, with what is not in force.
    package var inPart: [SetAside] = []
    /// The generation of the table that the engines decide by.
    package var generation: UInt64
    /// Networks behind customers: all connections from one of these lists of prefixes count together.
    package var networks: [[String]] = []

    package init(topology: String, tenants: [Tenant], setAside: [SetAside], generation: UInt64) {
        self.topology = topology
        self.tenants = tenants
        self.setAside = setAside
        self.generation = generation
    }
}

/// What the process of records is told at its start: the first line on its channel.
package struct RecordsSettings: Codable, Sendable {
    /// The topology.
    package var name: String
    /// The user and group that it becomes; 0 leaves them as they are.
    package var user: UInt32
    /// The absolute path of the database.
    package var database: String
    /// nil: there is no management address.
    package var management: ManagementSettings?

    package init(name: String, user: UInt32, database: String, management: ManagementSettings? = nil) {
        self.name = name
        self.user = user
        self.database = database
        self.management = management
    }
}
