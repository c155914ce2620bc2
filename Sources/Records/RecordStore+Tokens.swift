import FoundationEssentials
import GRDB
import Instructions
import Reporting

/// What a token lets its holder do.
package struct Admission: Sendable, Equatable {
    /// The id of the token.
    package var token: String
    package var tenant: String
    package var isReadOnly: Bool
    /// True if it is valid from the tenant's own customers alone.
    package var isOwn = false
}

extension RecordStore {
    // MARK: - Tokens

    /// Makes a token.
    ///
    /// - Parameters:
    ///   - life: In seconds; nil: it does not expire.
    ///   - own: Whether it is valid from the tenant's own customers alone.
    package func makeToken(
        _ instruction: Instruction, readOnly: Bool, life: Int?, own: Bool = false
    ) throws(ApplianceError) -> TokenView {
        let token = AccessToken()
        let salt = AccessToken.newSalt()
        let hash = token.hash(salt: salt)
        return try write { database in
            let now = clock.now()
            try Self.know(instruction.tenant, database, now)
            let expires = life.map { now + $0 }
            try database.execute(
                sql: """
                    INSERT INTO tokens (id, tenant, salt, hash, read_only, created, expires, own)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """, arguments: [token.id, instruction.tenant, Data(salt), Data(hash), readOnly, now, expires, own])
            try Self.note(instruction, token.id, "done", nil, at: now, database)
            return TokenView(
                id: token.id, tenant: instruction.tenant, readOnly: readOnly, created: Clock.text(now),
                expires: expires.map(Clock.text), state: "valid", token: token.text, isOwn: own)
        }
    }

    /// What a token lets its holder do now; nil if it is none, has expired, or was revoked.
    package func admission(of token: AccessToken) throws(ApplianceError) -> Admission? {
        let found = try read { database -> (row: Row, now: Int)? in
            try Row.fetchOne(database, sql: "SELECT * FROM tokens WHERE id = ?", arguments: [token.id]).map {
                ($0, clock.now())
            }
        }
        // An id that is not there costs as much as one that is.
        let salt: Data = found?.row["salt"] ?? Data(repeating: 0, count: 32)
        let hash: Data = found?.row["hash"] ?? Data(repeating: 0, count: 32)
        guard AccessToken.isEqual(token.hash(salt: Array(salt)), Array(hash)), let (row, now) = found else {
            return nil
        }
        let (expires, revoked): (Int?, Int?) = (row["expires"], row["revoked"])
        guard revoked == nil, expires.map({ now < $0 }) ?? true else { return nil }
        return Admission(
            token: token.id, tenant: row["tenant"], isReadOnly: row["read_only"], isOwn: row["own"])
    }

    /// True if who gives an instruction may still do so: the operator, a client certificate (the file says whose it is), or a
    /// token that is neither revoked nor expired.
    package func isValid(_ who: String) throws(ApplianceError) -> Bool {
        try read { try Self.isValid(who, $0, clock.now()) }
    }

    static func isValid(_ who: String, _ database: Database, _ now: Int) throws -> Bool {
        if who == "operator" || who.hasPrefix(Instruction.certificate) { return true }
        let sql = """
            SELECT count(*) FROM tokens WHERE id = ? AND revoked IS NULL AND (expires IS NULL OR expires > ?)
            """
        return try Int.fetchOne(database, sql: sql, arguments: [who, now]) == 1
    }

    /// The tokens of a tenant, the oldest first.
    package func tokens(of tenant: String) throws(ApplianceError) -> [TokenView] {
        try read { database in
            let now = clock.now()
            let sql = "SELECT * FROM tokens WHERE tenant = ? ORDER BY created, id"
            return try Row.fetchAll(database, sql: sql, arguments: [tenant]).map { Self.view($0, now) }
        }
    }

    private static func view(_ row: Row, _ now: Int) -> TokenView {
        let (expires, revoked): (Int?, Int?) = (row["expires"], row["revoked"])
        return TokenView(
            id: row["id"], tenant: row["tenant"], readOnly: row["read_only"], created: Clock.text(row["created"]),
            expires: expires.map(Clock.text),
            state: revoked != nil ? "revoked" : expires.map { now >= $0 } ?? false ? "expired" : "valid",
            isOwn: row["own"])
    }

    /// Revokes a token: from now on it is none.
    ///
    /// - Returns: False if the tenant has no such token, or it was revoked before.
    package func revoke(_ id: String, _ instruction: Instruction) throws(ApplianceError) -> Bool {
        try write { database in
            let now = clock.now()
            try database.execute(
                sql: "UPDATE tokens SET revoked = ? WHERE id = ? AND tenant = ? AND revoked IS NULL",
                arguments: [now, id, instruction.tenant])
            guard database.changesCount > 0 else { return false }
            try Self.note(instruction, id, "done", nil, at: now, database)
            return true
        }
    }

    /// How many services and valid tokens each tenant has that has any.
    package func counts() throws(ApplianceError) -> [String: (services: Int, tokens: Int)] {
        try read { database in
            let now = clock.now()
            let sql = """
                SELECT name, (SELECT count(*) FROM services WHERE tenant = tenants.name) AS services,
                (SELECT count(*) FROM tokens WHERE tenant = tenants.name AND revoked IS NULL
                 AND (expires IS NULL OR expires > ?)) AS tokens FROM tenants
                """
            var counts: [String: (services: Int, tokens: Int)] = [:]
            for row in try Row.fetchAll(database, sql: sql, arguments: [now]) {
                counts[row["name"]] = (row["services"], row["tokens"])
            }
            return counts
        }
    }

    // MARK: - Audit

    /// How many octets of records before and after a page of the audit has at most; one line may have more.
    static let mostOctets = 256 << 10

    /// A page of the audit, the newest first. It has fewer lines than it may have if these are long: whoever reads it keeps the
    /// process neither busy nor full.
    ///
    /// - Parameters:
    ///   - tenant: nil: of all tenants.
    ///   - before: The number of the line before which it begins.
    ///   - refusals: Whether it has what was refused; a tenant does not see where others have tried its tokens, nor what an
    ///     application said that did not take its list.
    package func audit(
        of tenant: String?, before: Int?, limit: Int, refusals: Bool = false
    ) throws(ApplianceError) -> (entries: [AuditEntry], isLast: Bool) {
        try read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT * FROM audit WHERE (:tenant IS NULL OR tenant = :tenant) AND (:before IS NULL OR id < :before)
                    AND (:refusals OR outcome != 'refused') ORDER BY id DESC LIMIT :limit
                    """, arguments: ["tenant": tenant, "before": before, "limit": limit + 1, "refusals": refusals])
            var (entries, octets): ([AuditEntry], Int) = ([], 0)
            while let row = try rows.next() {
                let outcome: String = row["outcome"]
                let entry = AuditEntry(
                    id: row["id"], tenant: row["tenant"], who: row["who"], origin: row["origin"],
                    at: Clock.text(row["at"]),
                    instruction: row["instruction"], subject: row["subject"], outcome: outcome,
                    version: row["version"], generation: row["generation"], before: row["before"], after: row["after"],
                    reason: outcome == "failed" && !refusals ? nil : row["reason"])
                octets += (entry.before?.utf8.count ?? 0) + (entry.after?.utf8.count ?? 0)
                if entries.count == limit || !entries.isEmpty && octets > Self.mostOctets { return (entries, false) }
                entries.append(entry)
            }
            return (entries, true)
        }
    }

    /// Notes that a token was refused although it is one.
    ///
    /// - Parameter reason: Why, for the operator.
    package func noteRefusal(_ instruction: Instruction, reason: String) throws(ApplianceError) {
        try write { database in
            try database.execute(
                sql: """
                    INSERT INTO audit (tenant, who, origin, at, instruction, subject, outcome, reason)
                    VALUES (?, ?, ?, ?, ?, ?, 'refused', ?)
                    """,
                arguments: [
                    instruction.tenant, instruction.who, instruction.origin, clock.now(), instruction.name,
                    instruction.who, reason,
                ])
        }
    }
}
