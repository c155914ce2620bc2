import ControlAPI
import FoundationEssentials
import GRDB
import Reporting

/// What a tenant kept at some version.
package struct KeptRecords: Sendable {
    package var services: [RecordedService]
    package var access: [RecordedAccess]
}

extension RecordStore {
    /// What a tenant kept when a version was the newest.
    ///
    /// - Returns: nil if there was no such version.
    package func records(of tenant: String, at version: Int) throws(ApplianceError) -> KeptRecords? {
        let newest = try newestVersion()
        guard (0...newest).contains(version) else { return nil }
        let (services, access) = (
            try self.services(of: tenant, after: nil, limit: Int(Int32.max)).map(\.service),
            try self.access(of: tenant, after: nil, limit: Int(Int32.max)).map(\.list)
        )
        return try read { database in
            var kept = Dictionary(services.map { ($0.name, $0) }) { first, _ in first }
            var lists = Dictionary(access.map { ($0.application, $0) }) { first, _ in first }
            // What each record was before it was first changed since: of a long history, no more is read.
            let lines = try Row.fetchAll(
                database,
                sql: """
                    SELECT subject, before FROM audit WHERE id IN (
                        SELECT min(audit.id) FROM audit JOIN versions ON versions.number = audit.version
                        WHERE audit.tenant = ? AND audit.version > ? AND audit.outcome = 'written'
                        AND versions.state != 'failed' GROUP BY audit.subject)
                    """, arguments: [tenant, version])
            for line in lines {
                let (subject, before): (String, String?) = (line["subject"], line["before"])
                let what = "what the audit says of \(tenant)/\(subject)"
                if let application = Self.application(of: subject) {
                    lists[application] = try before.map { try Self.value(RecordedAccess.self, $0, what) }
                } else {
                    kept[subject] = try before.map { try Self.value(RecordedService.self, $0, what) }
                }
            }
            return KeptRecords(
                services: kept.values.sorted { $0.name < $1.name },
                access: lists.values.sorted { $0.application < $1.application })
        }
    }
}
