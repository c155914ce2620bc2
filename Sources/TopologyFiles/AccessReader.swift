import Forwarding
import Plan
import Reporting
import Wire

/// Reads the access lists of tenants, and sees to it that no tenant judges packets of others.
package struct AccessReader {
    /// The most rules that one list is for engine and applications: a rule of a record may be several there.
    package static let mostRules = 1000
    /// The most values of one list of a rule.
    static let mostValues = 64

    let file: TopologyFile
    let diagnostics: Diagnostics

    package init(_ file: TopologyFile, _ diagnostics: Diagnostics) {
        self.file = file
        self.diagnostics = diagnostics
    }

    /// The lists of records, without counters.
    ///
    /// - Returns: What is wrong with some of them, which `diagnostics` tells; nil if nothing is.
    package func read(_ records: [AccessRecord]) -> (lists: [PlannedAccess], fault: RecordReader.Fault?) {
        let before = diagnostics.count
        var counts: [String: Int] = [:]
        for record in records { checkRights(record, &counts) }
        guard diagnostics.count == before else { return ([], .forbidden) }
        var fault = RecordReader.Fault.invalid
        let lists = records.compactMap { list($0, &fault) }
        return diagnostics.count == before ? (lists, nil) : ([], fault)
    }

    // MARK: - Rights

    private func checkRights(_ record: AccessRecord, _ counts: inout [String: Int]) {
        guard let tenant = tenant(of: record) else {
            diagnostics.error(
                record.origin(), "the file has no tenant \(quoted(record.tenant))",
                hint: "add the tenant to the file, or remove the access list")
            return
        }
        let may = tenant.applications.map(\.value)
        let judged = may.filter { file.access(of: $0) != nil }
        guard may.contains(record.application) else {
            return diagnostics.error(
                record.origin(), "there is no application \(quoted(record.application, seen: true)) for you",
                hint: Spelling.hint(for: record.application, among: judged, kind: "applications"))
        }
        guard judged.contains(record.application) else {
            return diagnostics.error(
                record.origin(), "no access lists are kept for \(quoted(record.application))",
                hint: judged.isEmpty
                    ? "ask the operator for `access` at the application"
                    : "they are for \(judged.map { quoted($0) }.joined(separator: ", "))")
        }
        let before = counts[record.tenant, default: 0]
        let after = before + record.rules.count
        counts[record.tenant] = after
        if before <= tenant.rules, after > tenant.rules {
            diagnostics.error(
                record.origin("/rules"),
                "there is room for \(Plural.counted(tenant.rules, "rule")) in all lists together, and this makes \(after)",
                hint: "remove rules first, or ask the operator for more")
        }
    }

    private func tenant(of record: AccessRecord) -> RawTenant? {
        file.tenants.first { $0.name.value == record.tenant }
    }

    // MARK: - Form

    private func list(_ record: AccessRecord, _ fault: inout RecordReader.Fault) -> PlannedAccess? {
        let addresses = tenant(of: record)?.addresses.map(\.value) ?? []
        var (rules, sources): ([AccessRule], [Int]) = ([], [])
        for (index, rule) in record.rules.enumerated() {
            let made = AccessRuleReader(rule, record, "/rules/\(index)", addresses, diagnostics).rules(&fault)
            rules += made
            sources += Array(repeating: index, count: made.count)
        }
        if rules.count > Self.mostRules {
            diagnostics.error(
                record.origin("/rules"),
                "written out for each address and range, these are \(rules.count) rules, and the most are \(Self.mostRules)",
                hint: "use prefixes and ranges of ports")
        }
        guard let otherwise = AccessRuleReader.action(record.otherwise, record, "/default", diagnostics) else {
            return nil
        }
        return PlannedAccess(
            record: record,
            list: AccessList(tenant: record.tenant, own: addresses, rules: rules, otherwise: otherwise, counter: 0),
            sources: sources)
    }
}

extension TopologyFile {
    /// Who judges the packets of an application by access lists; nil: nobody.
    package func access(of application: String) -> RawAccess? {
        nodes.first { ($0.application ?? $0.name.value) == application }?.access
    }
}
