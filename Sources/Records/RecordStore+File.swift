import ControlAPI
import GRDB
import Reporting

extension RecordStore {
    /// The instruction of lines about what the file lets be in force. No route has this name.
    private static let ofFile = "apply"

    /// Notes in the audit which access lists the file lets be in force, where that is not what their last lines say.
    ///
    /// - Parameters:
    ///   - aside: The ids of lists of which nothing is in force, and why.
    ///   - inPart: The ids of lists of which something is not, and what.
    package func noteFile(
        aside: [TenantsDescription.SetAside], inPart: [TenantsDescription.SetAside], generation: UInt64
    ) throws(ApplianceError) {
        var states: [String: (outcome: String, reason: String?)] = [:]
        for list in aside { states[list.id] = ("set-aside", list.reasons.joined(separator: "; ")) }
        for list in inPart { states[list.id] = ("in-part", list.reasons.joined(separator: "; ")) }
        try write { database in
            // Those that are whole again, too.
            let lists = try Row.fetchAll(database, sql: "SELECT tenant, application, version FROM access_lists")
            for list in lists {
                let (tenant, application): (String, String) = (list["tenant"], list["application"])
                let subject = RecordedAccess.subject(application)
                let last = try Row.fetchOne(
                    database,
                    sql: """
                        SELECT outcome, reason FROM audit WHERE tenant = ? AND subject = ? AND outcome != 'failed'
                        ORDER BY id DESC LIMIT 1
                        """, arguments: [tenant, subject])
                let (known, why): (String?, String?) = (last?["outcome"], last?["reason"])
                // What is just being written is the instruction's to say.
                if known == "written" { continue }
                let state = states["\(tenant)/\(subject)"]
                if let state {
                    guard known != state.outcome || why != state.reason else { continue }
                } else {
                    guard known == "set-aside" || known == "in-part" || known == "set-aside-after-restart" else {
                        continue
                    }
                }
                try database.execute(
                    sql: """
                        INSERT INTO audit (tenant, who, origin, at, instruction, subject, outcome, version, generation, reason)
                        VALUES (?, 'operator', 'the file', ?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        tenant, clock.now(), Self.ofFile, subject, state?.outcome ?? "in-force", list["version"] as Int,
                        Int(clamping: generation), state?.reason,
                    ])
            }
        }
    }
}
