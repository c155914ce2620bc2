import ControlAPI

/// An access list as it is answered.
package struct AccessView: Codable, Sendable, Equatable {
    /// A rule, and how often it matched.
    package struct Rule: Codable, Sendable, Equatable {
        package var rule: RecordedAccessRule
        package var hits: RuleHits?

        package init(rule: RecordedAccessRule, hits: RuleHits?) {
            self.rule = rule
            self.hits = hits
        }

        private enum CodingKeys: String, CodingKey { case hits }

        package init(from decoder: any Decoder) throws {
            rule = try RecordedAccessRule(from: decoder)
            hits = try decoder.container(keyedBy: CodingKeys.self).decodeIfPresent(RuleHits.self, forKey: .hits)
        }

        package func encode(to encoder: any Encoder) throws {
            try rule.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encodeIfPresent(hits, forKey: .hits)
        }
    }

    /// What happens to packets that match no rule, and how often that was.
    package struct Default: Codable, Sendable, Equatable {
        package var action: String
        package var answer: String?
        package var comment: String?
        package var hits: RuleHits?
    }

    /// Something that works but is hardly intended.
    package struct Remark: Codable, Sendable, Equatable {
        /// A JSON pointer into the list.
        package var pointer: String
        package var detail: String

        package init(pointer: String, detail: String) {
            self.pointer = pointer
            self.detail = detail
        }
    }

    package var tenant: String
    package var application: String
    package var rules: [Rule]
    package var otherwise: Default
    /// The version that last changed it; in quotes, its ETag.
    package var version: Int
    /// `in-force`, `in-part`, `set-aside`, or `pending`: it is written, and not yet in force.
    package var state: String
    /// Why it is set aside, or what of it is not in force.
    package var reasons: [String]?
    package var remarks: [Remark]

    /// - Parameters:
    ///   - reasons: Why it is set aside; nil: it is not.
    ///   - omissions: What of it is not in force; nil: all of it is.
    ///   - state: How it does; nil: nobody knows.
    package init(
        _ list: RecordedAccess, version: Int, setAside reasons: [String]? = nil, inPart omissions: [String]? = nil,
        isPending: Bool = false,
        state does: AccessState? = nil
    ) {
        tenant = list.tenant
        application = list.application
        let hits = does?.rules ?? []
        rules = list.rules.enumerated().map { Rule(rule: $1, hits: $0 < hits.count ? hits[$0] : nil) }
        otherwise = Default(
            action: list.otherwise.action, answer: list.otherwise.answer, comment: list.otherwise.comment,
            hits: does?.otherwise)
        self.version = version
        state =
            isPending ? "pending" : reasons != nil ? "set-aside" : omissions != nil ? "in-part" : "in-force"
        self.reasons = isPending ? nil : reasons ?? omissions
        remarks = (does?.remarks ?? []).map { Remark(pointer: $0.pointer, detail: $0.message) }
    }

    private enum CodingKeys: String, CodingKey {
        case tenant, application, rules, version, state, reasons, remarks
        case otherwise = "default"
    }
}

/// A page of access lists.
package struct AccessListing: Codable, Sendable {
    package var access: [AccessView]
    /// For `after` of the next page; absent: this is the last.
    package var next: String?

    package init(access: [AccessView], next: String?) {
        self.access = access
        self.next = next
    }
}
