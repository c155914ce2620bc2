import ControlAPI
import FoundationEssentials
import GRDB
import Instructions
import Reporting

/// A service as it is kept.
package struct KeptService: Sendable, Equatable {
    package var service: RecordedService
    /// The version that last changed it.
    package var version: Int
    /// True if nobody has said yet that the engines decide by it.
    package var isPending = false
}

/// Who gives an instruction, and how.
package struct Instruction: Sendable {
    /// The beginning of `who` where it is a client certificate; its name follows.
    package static let certificate = "certificate "

    package var tenant: String
    /// `operator`, or the id of the token.
    package var who: String
    /// Where the request came from.
    package var origin: String
    /// The route's name.
    package var name: String
    /// `Idempotency-Key`, and the hash of the request.
    package var repeating: (key: String, request: [UInt8])?

    package init(
        tenant: String, who: String, origin: String, name: String, repeating: (key: String, request: [UInt8])? = nil
    ) {
        self.tenant = tenant
        self.who = who
        self.origin = origin
        self.name = name
        self.repeating = repeating
    }
}

extension RecordStore {
    // MARK: - Services

    /// All services, in the order in which they came.
    package func allServices() throws(ApplianceError) -> [RecordedService] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM services ORDER BY created, tenant, name").map {
                try Self.kept($0).service
            }
        }
    }

    /// A page of services, by their names.
    ///
    /// - Parameters:
    ///   - tenant: nil: of all tenants.
    ///   - after: `TENANT/NAME` of the one before.
    package func services(of tenant: String?, after: String?, limit: Int) throws(ApplianceError) -> [KeptService] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT services.*, state FROM services JOIN versions ON number = version
                    WHERE (:tenant IS NULL OR tenant = :tenant)
                    AND (:after IS NULL OR tenant || '/' || name > :after)
                    ORDER BY tenant || '/' || name LIMIT :limit
                    """, arguments: ["tenant": tenant, "after": after, "limit": limit]
            ).map(Self.kept)
        }
    }

    /// One service.
    package func service(_ name: String, of tenant: String) throws(ApplianceError) -> KeptService? {
        try read { database in try Self.service(name, of: tenant, database) }
    }

    private static func service(_ name: String, of tenant: String, _ database: Database) throws -> KeptService? {
        try Row.fetchOne(
            database,
            sql: """
                SELECT services.*, state FROM services JOIN versions ON number = version WHERE tenant = ? AND name = ?
                """, arguments: [tenant, name]
        ).map(kept)
    }

    private static func kept(_ row: Row) throws -> KeptService {
        let (tenant, name, body): (String, String, String) = (row["tenant"], row["name"], row["body"])
        return KeptService(
            service: try value(RecordedService.self, body, "the service \(tenant)/\(name)"), version: row["version"],
            isPending: row["state"] as String? == "written")
    }

    static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    // MARK: - Instructions

    /// Writes what an instruction wants, with its line of the audit for each record. It is not in force yet.
    ///
    /// - Parameter answer: The answer to repeats of the request, made of the version.
    /// - Returns: The version; nil if the token that gives the instruction was revoked or has expired: nothing is written.
    package func write(
        _ instruction: Instruction, put: [RecordedService] = [], remove: [String] = [],
        putAccess: [RecordedAccess] = [], removeAccess: [String] = [], answer: (Int) throws -> String
    ) throws(ApplianceError) -> Int? {
        try write { database in
            let now = clock.now()
            guard try Self.isValid(instruction.who, database, now) else { return nil }
            try database.execute(sql: "DELETE FROM repeats WHERE at < ?", arguments: [now - Self.lifeOfKeys])
            try Self.know(instruction.tenant, database, now)
            try database.execute(sql: "INSERT INTO versions (made, state) VALUES (?, 'written')", arguments: [now])
            let version = Int(database.lastInsertedRowID)
            for service in put {
                let before = try Self.service(service.name, of: instruction.tenant, database)
                let body = try Self.text(service)
                try database.execute(
                    sql: """
                        INSERT INTO services (tenant, name, body, created, version) VALUES (:tenant, :name, :body, :version, :version)
                        ON CONFLICT (tenant, name) DO UPDATE SET body = excluded.body, version = excluded.version
                        """,
                    arguments: ["tenant": instruction.tenant, "name": service.name, "body": body, "version": version])
                try Self.note(
                    instruction, service.name, "written", version, before: try before.map { try Self.text($0.service) },
                    after: body, at: now, database)
            }
            for name in remove {
                let before = try Self.service(name, of: instruction.tenant, database)
                try database.execute(
                    sql: "DELETE FROM services WHERE tenant = ? AND name = ?", arguments: [instruction.tenant, name])
                try Self.note(
                    instruction, name, "written", version, before: try before.map { try Self.text($0.service) },
                    after: nil,
                    at: now, database)
            }
            for list in putAccess {
                let before = try Self.access(list.application, of: instruction.tenant, database)
                try Self.put(list, version: version, database)
                try Self.note(
                    instruction, list.subject, "written", version, before: try before.map { try Self.text($0.list) },
                    after: try Self.text(list), at: now, database)
            }
            for application in removeAccess {
                let before = try Self.access(application, of: instruction.tenant, database)
                try Self.removeAccess(application, of: instruction.tenant, database)
                try Self.note(
                    instruction, RecordedAccess.subject(application), "written", version,
                    before: try before.map { try Self.text($0.list) }, at: now, database)
            }
            if let repeating = instruction.repeating {
                try database.execute(
                    sql:
                        "INSERT OR REPLACE INTO repeats (tenant, key, request, version, answer, at) VALUES (?, ?, ?, ?, ?, ?)",
                    arguments: [
                        instruction.tenant, repeating.key, Data(repeating.request), version, try answer(version), now,
                    ])
            }
            return version
        }
    }

    /// How long the key of a request is known, in seconds: a day.
    static let lifeOfKeys = 86_400

    /// Notes that every engine decides by a version.
    ///
    /// - Parameters:
    ///   - aside: The ids of services that are set aside. Their lines of the audit say so.
    ///   - answer: The answer to repeats of the request.
    package func confirm(
        _ version: Int, generation: UInt64, outcome: String = "in-force", aside: Set<String> = [],
        answer: String? = nil
    ) throws(ApplianceError) {
        try write { database in
            let generation = Int(clamping: generation)
            let lines = try copyLines(of: version, outcome: outcome, aside: aside, generation: generation, database)
            try database.execute(
                sql: "UPDATE versions SET state = ?, generation = ? WHERE number = ?",
                arguments: [lines.isDisjoint(with: aside) ? "in-force" : "set-aside", generation, version])
            if let answer {
                try database.execute(
                    sql: "UPDATE repeats SET answer = ? WHERE version = ?", arguments: [answer, version])
            }
        }
    }

    /// Takes back what a version wrote: it could not be put in force.
    ///
    /// - Parameter reason: Why, for the operator.
    package func undo(_ version: Int, reason: String? = nil) throws(ApplianceError) {
        try write { database in
            let lines = try Row.fetchAll(
                database, sql: "SELECT * FROM audit WHERE version = ? AND outcome = 'written' ORDER BY id DESC",
                arguments: [version])
            for line in lines {
                let (tenant, name, before): (String, String, String?) = (
                    line["tenant"], line["subject"], line["before"]
                )
                let application = Self.application(of: name)
                guard let before else {
                    if let application {
                        try Self.removeAccess(application, of: tenant, database)
                    } else {
                        try database.execute(
                            sql: "DELETE FROM services WHERE tenant = ? AND name = ?", arguments: [tenant, name])
                    }
                    continue
                }
                let former = try Int.fetchOne(
                    database,
                    sql: """
                        SELECT max(number) FROM versions JOIN audit ON audit.version = number
                        WHERE tenant = ? AND subject = ? AND number < ? AND state != 'failed'
                        """, arguments: [tenant, name, version])
                if application != nil {
                    try Self.put(
                        try Self.value(RecordedAccess.self, before, "the audit of version \(version)"),
                        version: former ?? version, database)
                    continue
                }
                try database.execute(
                    sql: """
                        INSERT INTO services (tenant, name, body, created, version) VALUES (:tenant, :name, :body, :version, :version)
                        ON CONFLICT (tenant, name) DO UPDATE SET body = excluded.body, version = excluded.version
                        """,
                    arguments: ["tenant": tenant, "name": name, "body": before, "version": former ?? version])
            }
            try database.execute(sql: "DELETE FROM repeats WHERE version = ?", arguments: [version])
            try database.execute(sql: "UPDATE versions SET state = 'failed' WHERE number = ?", arguments: [version])
            _ = try copyLines(
                of: version, outcome: "failed", aside: [], generation: nil, reason: reason, database)
        }
    }

    /// Versions that were written, and of which nobody has said that they are in force: this process, or the control process,
    /// ended just then.
    package func unconfirmed() throws(ApplianceError) -> [Int] {
        try read { try Int.fetchAll($0, sql: "SELECT number FROM versions WHERE state = 'written' ORDER BY number") }
    }

    /// The newest version; 0 before the first.
    package func newestVersion() throws(ApplianceError) -> Int {
        try read { try Int.fetchOne($0, sql: "SELECT max(number) FROM versions") ?? 0 }
    }

    /// Adds the outcome of a version's lines to the audit.
    ///
    /// - Returns: The ids of its services.
    private func copyLines(
        of version: Int, outcome: String, aside: Set<String>, generation: Int?, reason: String? = nil,
        _ database: Database
    ) throws -> Set<String> {
        let lines = try Row.fetchAll(
            database,
            sql: "SELECT id, tenant, subject FROM audit WHERE version = ? AND outcome = 'written' ORDER BY id",
            arguments: [version])
        var ids: Set<String> = []
        for line in lines {
            let (number, tenant, subject): (Int, String, String) = (line["id"], line["tenant"], line["subject"])
            let id = "\(tenant)/\(subject)"
            ids.insert(id)
            try database.execute(
                sql: """
                    INSERT INTO audit (tenant, who, origin, at, instruction, subject, outcome, version, generation, reason)
                    SELECT tenant, who, origin, :now, instruction, subject, :outcome, version, :generation, :reason
                    FROM audit WHERE id = :id
                    """,
                arguments: [
                    "now": clock.now(), "outcome": aside.contains(id) ? "set-aside-after-restart" : outcome,
                    "generation": generation, "reason": reason, "id": number,
                ])
        }
        return ids
    }

    static func note(
        _ instruction: Instruction, _ subject: String, _ outcome: String, _ version: Int?, before: String? = nil,
        after: String? = nil, at now: Int, _ database: Database
    ) throws {
        try database.execute(
            sql: """
                INSERT INTO audit (tenant, who, origin, at, instruction, subject, outcome, version, before, after)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                instruction.tenant, instruction.who, instruction.origin, now, instruction.name, subject, outcome,
                version,
                before, after,
            ])
    }

    /// Makes a tenant known to the tables.
    static func know(_ tenant: String, _ database: Database, _ now: Int) throws {
        try database.execute(
            sql: "INSERT OR IGNORE INTO tenants (name, created) VALUES (?, ?)", arguments: [tenant, now])
    }

    // MARK: - Repeats

    /// The answer to a request that was done and came into force, within the last day; nil if it was not.
    ///
    /// - Throws: `ApplianceError` if the database cannot be read.
    package func answer(to key: String, of tenant: String) throws(ApplianceError) -> (request: [UInt8], answer: String)?
    {
        try read { database in
            try Row.fetchOne(
                database,
                sql: """
                    SELECT request, answer FROM repeats JOIN versions ON number = version
                    WHERE tenant = ? AND key = ? AND state = 'in-force' AND at >= ?
                    """, arguments: [tenant, key, clock.now() - Self.lifeOfKeys]
            ).map { row in
                let request: Data = row["request"]
                return (Array(request), row["answer"])
            }
        }
    }
}
