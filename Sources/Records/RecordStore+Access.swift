import ControlAPI
import FoundationEssentials
import GRDB
import Instructions
import Reporting

/// An access list as it is kept.
package struct KeptAccess: Sendable, Equatable {
    package var list: RecordedAccess
    /// The version that last changed it.
    package var version: Int
    /// True if nobody has said yet that it is in force.
    package var isPending = false
}

extension RecordStore {
    /// All access lists, in the order in which they came.
    package func allAccess() throws(ApplianceError) -> [RecordedAccess] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT access_lists.*, state FROM access_lists JOIN versions ON number = version
                    ORDER BY created, tenant, application
                    """
            ).map { try Self.keptAccess($0, database).list }
        }
    }

    /// A page of access lists, by tenants and applications.
    ///
    /// - Parameters:
    ///   - tenant: nil: of all tenants.
    ///   - after: `TENANT/APPLICATION` of the one before.
    package func access(of tenant: String?, after: String?, limit: Int) throws(ApplianceError) -> [KeptAccess] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT access_lists.*, state FROM access_lists JOIN versions ON number = version
                    WHERE (:tenant IS NULL OR tenant = :tenant)
                    AND (:after IS NULL OR tenant || '/' || application > :after)
                    ORDER BY tenant || '/' || application LIMIT :limit
                    """, arguments: ["tenant": tenant, "after": after, "limit": limit]
            ).map { try Self.keptAccess($0, database) }
        }
    }

    /// The access list of a tenant for one application.
    package func access(_ application: String, of tenant: String) throws(ApplianceError) -> KeptAccess? {
        try read { database in try Self.access(application, of: tenant, database) }
    }

    static func access(_ application: String, of tenant: String, _ database: Database) throws -> KeptAccess? {
        try Row.fetchOne(
            database,
            sql: """
                SELECT access_lists.*, state FROM access_lists JOIN versions ON number = version
                WHERE tenant = ? AND application = ?
                """, arguments: [tenant, application]
        ).map { try keptAccess($0, database) }
    }

    private static func keptAccess(_ row: Row, _ database: Database) throws -> KeptAccess {
        let (tenant, application, otherwise): (String, String, String) = (
            row["tenant"], row["application"], row["otherwise"]
        )
        let rules = try String.fetchAll(
            database, sql: "SELECT body FROM access_rules WHERE tenant = ? AND application = ? ORDER BY place",
            arguments: [tenant, application])
        let what = "the access list of \(tenant) for \(application)"
        return KeptAccess(
            list: RecordedAccess(
                tenant: tenant, application: application,
                rules: try rules.enumerated().map {
                    try value(RecordedAccessRule.self, $1, "rule \($0 + 1) of \(what)")
                }, otherwise: try value(RecordedVerdict.self, otherwise, "the default of \(what)")),
            version: row["version"],
            isPending: row["state"] as String? == "written")
    }

    /// What a row has as JSON.
    ///
    /// - Parameter what: What it is, for a person.
    /// - Throws: `UnreadableRow` if it is something else.
    static func value<Value: Decodable>(_ type: Value.Type, _ text: String, _ what: String) throws -> Value {
        do { return try JSONDecoder().decode(type, from: Data(text.utf8)) } catch { throw UnreadableRow(what: what) }
    }

    /// Makes or replaces an access list.
    static func put(_ list: RecordedAccess, version: Int, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO access_lists (tenant, application, otherwise, created, version)
                VALUES (:tenant, :application, :otherwise, :version, :version)
                ON CONFLICT (tenant, application)
                DO UPDATE SET otherwise = excluded.otherwise, version = excluded.version
                """,
            arguments: [
                "tenant": list.tenant, "application": list.application, "otherwise": try text(list.otherwise),
                "version": version,
            ])
        try database.execute(
            sql: "DELETE FROM access_rules WHERE tenant = ? AND application = ?",
            arguments: [list.tenant, list.application])
        for (place, rule) in list.rules.enumerated() {
            try database.execute(
                sql: "INSERT INTO access_rules (tenant, application, place, body) VALUES (?, ?, ?, ?)",
                arguments: [list.tenant, list.application, place, try text(rule)])
        }
    }

    static func removeAccess(_ application: String, of tenant: String, _ database: Database) throws {
        // Its rules go with it.
        try database.execute(
            sql: "DELETE FROM access_lists WHERE tenant = ? AND application = ?", arguments: [tenant, application])
    }

    /// The application that a line of the audit is about; nil: it is about a service.
    static func application(of subject: String) -> String? {
        let start = RecordedAccess.subject("")
        return subject.hasPrefix(start) ? String(subject.dropFirst(start.count)) : nil
    }
}
