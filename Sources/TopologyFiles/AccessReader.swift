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

    /// What became of records.
    package struct Reading: Sendable {
        /// The lists, without counters.
        package var lists: [PlannedAccess] = []
        /// Records of tenants that the file does not have, or for applications whose packets no list judges.
        package var aside: [AccessSetAside] = []
        /// What is wrong with new records, which `diagnostics` tells; nil if nothing is.
        package var fault: RecordReader.Fault?
    }

    /// The lists of records.
    ///
    /// A record that is kept already fails safe: what the file no longer allows of it is left out, rule by rule, and all else
    /// stays in force. A new one is right as a whole, or refused.
    ///
    /// - Parameters:
    ///   - kept: The records that are kept already.
    ///   - known: Lists of such records that were read: they are read again only if their tenants have other addresses now.
    package func read(
        _ records: [AccessRecord], kept: Set<AccessRecord> = [], known: [PlannedAccess] = []
    ) -> Reading {
        let known = Dictionary(known.map { ($0.record.id, $0) }) { first, _ in first }
        let before = diagnostics.count
        let owners = file.tenants + file.negotiators()
        let tenants = Dictionary(owners.map { ($0.name.value, $0) }) { first, _ in first }
        var reading = Reading()
        var counts: [String: (rules: Int, kept: Int)] = [:]
        for record in kept { counts[record.tenant, default: (0, 0)].kept += record.rules.count }
        for record in records where !kept.contains(record) { checkRights(record, tenants[record.tenant]) }
        for record in records { counts[record.tenant, default: (0, 0)].rules += record.rules.count }
        checkLimits(records.filter { !kept.contains($0) }, tenants, counts)
        guard diagnostics.count == before else { return Reading(fault: .forbidden) }
        var fault = RecordReader.Fault.invalid
        for record in records {
            let addresses = tenants[record.tenant]?.addresses.map(\.value) ?? []
            guard kept.contains(record) else {
                if let list = list(record, addresses, &fault) { reading.lists.append(list) }
                continue
            }
            if let reason = reasonAside(record, tenants[record.tenant]) {
                reading.aside.append(AccessSetAside(record, reasons: [reason]))
            } else if let list = known[record.id], list.record == record, list.list.own == addresses {
                reading.lists.append(list)
            } else {
                reading.lists.append(keptList(record, addresses))
            }
        }
        guard diagnostics.count == before else { return Reading(fault: fault) }
        return reading
    }

    // MARK: - Rights

    private func checkRights(_ record: AccessRecord, _ tenant: RawTenant?) {
        guard let tenant else {
            diagnostics.error(
                record.origin(), "the file has no tenant \(quoted(record.tenant))",
                hint: "add the tenant to the file, or remove the access list")
            return
        }
        let may = tenant.applications.map(\.value)
        let judged = may.filter { isJudged($0, for: tenant) }
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
    }

    /// A limit that the file has lowered keeps nobody from having fewer rules than before.
    private func checkLimits(
        _ fresh: [AccessRecord], _ tenants: [String: RawTenant], _ counts: [String: (rules: Int, kept: Int)]
    ) {
        var told: Set<String> = []
        for record in fresh {
            guard let tenant = tenants[record.tenant], let count = counts[record.tenant], count.rules > tenant.rules,
                count.rules >= count.kept, told.insert(record.tenant).inserted
            else { continue }
            diagnostics.error(
                record.origin("/rules"),
                "there is room for \(Plural.counted(tenant.rules, "rule")) in all lists together, and this makes "
                    + "\(count.rules)", hint: "remove rules first, or ask the operator for more")
        }
    }

    /// Why nothing of a record that is kept can be in force; nil: it can.
    private func reasonAside(_ record: AccessRecord, _ tenant: RawTenant?) -> String? {
        guard let tenant else { return "the file has no tenant \(quoted(record.tenant))" }
        return isJudged(record.application, for: tenant)
            ? nil : "no access lists are kept for \(quoted(record.application))"
    }

    /// True if lists of an owner judge the packets of an application. What an application keeps for its mappings judges its own
    /// packets alone.
    private func isJudged(_ application: String, for owner: RawTenant) -> Bool {
        owner.isApplication ? application == owner.name.value : file.access(of: application) != nil
    }

    // MARK: - Form

    private func list(
        _ record: AccessRecord, _ addresses: [IPPrefix], _ fault: inout RecordReader.Fault
    ) -> PlannedAccess? {
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

    /// The list of a record that was right when it was written.
    private func keptList(_ record: AccessRecord, _ addresses: [IPPrefix]) -> PlannedAccess {
        let scratch = diagnostics.blank()
        var (rules, sources): ([AccessRule], [Int]) = ([], [])
        var omissions: [AccessRemark] = []
        var fault = RecordReader.Fault.invalid
        // What denied packets no longer can: they are denied with all that no rule is about.
        var leavesOpen = false
        for (index, rule) in record.rules.enumerated() {
            let before = scratch.count
            var reader = AccessRuleReader(rule, record, "/rules/\(index)", addresses, scratch)
            reader.isKept = true
            let made = reader.rules(&fault)
            func omit(_ why: String) {
                omissions.append(AccessRemark("/rules/\(index)", "rule \(index + 1) \(why)"))
            }
            guard scratch.count == before else {
                omit("is not in force: \(scratch.messages.dropFirst(before).joined(separator: "; "))")
                continue
            }
            guard rules.count + made.count <= Self.mostRules else {
                omit(
                    "is not in force: with it, the list would be more than \(Self.mostRules) rules, written out for each "
                        + "address and range")
                if rule.verdict.action != "allow" { leavesOpen = true }
                continue
            }
            if let own = rule.own.flatMap({ InterfaceAddress($0) })?.prefix,
                !addresses.contains(where: { $0.contains(own) })
            {
                let left = made.map(\.own).reduce(into: [IPPrefix]()) { if !$0.contains($1) { $0.append($1) } }
                omit(
                    "is in force for \(left.map { "\($0)" }.joined(separator: ", ")) alone: the tenant has no more of \(own)"
                )
            }
            rules += made
            sources += Array(repeating: index, count: made.count)
        }
        var otherwise = AccessRuleReader.action(record.otherwise, record, "/default", scratch) ?? .deny(.drop)
        if leavesOpen, otherwise == .allow {
            otherwise = .deny(.drop)
            omissions.append(
                AccessRemark(
                    "/default",
                    "the default is deny while a rule that denies is not in force for want of room"))
        }
        return PlannedAccess(
            record: record,
            list: AccessList(tenant: record.tenant, own: addresses, rules: rules, otherwise: otherwise, counter: 0),
            sources: sources, omissions: omissions)
    }
}

extension TopologyFile {
    /// Who judges the packets of an application by access lists; nil: nobody.
    package func access(of application: String) -> RawAccess? {
        nodes.first { ($0.application ?? $0.name.value) == application }?.access
    }
}
