import ControlAPI

/// What is wrong with a request (RFC 9457), as JSON.
package struct Problem: Error, Codable, Sendable {
    /// One mistake, and its place.
    package struct Mistake: Codable, Sendable, Equatable {
        /// A JSON pointer into the body; nil: it is about nothing that the body has.
        package var pointer: String?
        /// One sentence.
        package var detail: String
        /// What to do about it.
        package var hint: String?
        /// A packet that shows the problem, and its way until then.
        package var example: String?
        /// Places that it has to do with.
        package var related: [String]?

        package init(
            pointer: String? = nil, detail: String, hint: String? = nil, example: String? = nil,
            related: [String]? = nil
        ) {
            self.pointer = pointer
            self.detail = detail
            self.hint = hint
            self.example = example
            self.related = related
        }
    }

    /// A relative reference that tells this kind of problem from others.
    package var type: String
    package var title: String
    package var status: Int
    package var detail: String
    package var hint: String?
    package var errors: [Mistake]?
    /// Seconds until the same request may be taken; beside 429 and 503.
    package var retryAfter: Int?

    private enum CodingKeys: String, CodingKey {
        case type, title, status, detail, hint, errors
        case retryAfter = "retry-after"
    }

    /// The kinds of problems.
    package enum Kind: String, CaseIterable, Sendable {
        case notAsExpected = "bad-request"
        case unauthorised = "unauthorised"
        case forbidden = "forbidden"
        case notFound = "not-found"
        case methodNotAllowed = "method-not-allowed"
        case conflict = "conflict"
        case changed = "precondition-failed"
        case tooLarge = "too-large"
        case wrongType = "unsupported-media-type"
        case invalid = "invalid"
        case tooMany = "too-many-requests"
        case failed = "failed"
        case unavailable = "unavailable"

        package var status: Int {
            switch self {
            case .notAsExpected: 400
            case .unauthorised: 401
            case .forbidden: 403
            case .notFound: 404
            case .methodNotAllowed: 405
            case .conflict: 409
            case .changed: 412
            case .tooLarge: 413
            case .wrongType: 415
            case .invalid: 422
            case .tooMany: 429
            case .failed: 500
            case .unavailable: 503
            }
        }

        var title: String {
            switch self {
            case .notAsExpected: "The request is not as it must be"
            case .unauthorised: "A token is needed"
            case .forbidden: "Not allowed"
            case .notFound: "There is no such thing"
            case .methodNotAllowed: "The path has other methods"
            case .conflict: "It contradicts what is in force"
            case .changed: "It has changed"
            case .tooLarge: "The request is too large"
            case .wrongType: "The body is not JSON"
            case .invalid: "A value is wrong"
            case .tooMany: "Too many instructions"
            case .failed: "It failed"
            case .unavailable: "Not now"
            }
        }
    }

    package init(
        _ kind: Kind, _ detail: String, hint: String? = nil, errors: [Mistake]? = nil, retryAfter: Int? = nil
    ) {
        type = "/problems/\(kind.rawValue)"
        title = kind.title
        status = kind.status
        self.detail = detail
        self.hint = hint
        self.errors = errors
        self.retryAfter = retryAfter
    }

    /// A problem with one place in the body; nil: with none.
    package init(_ kind: Kind, _ detail: String, hint: String? = nil, at pointer: String?) {
        self.init(
            kind, detail, hint: hint,
            errors: pointer.map { [Mistake(pointer: $0, detail: detail, hint: hint)] })
    }
}

extension Problem {
    /// Why the control process refuses an instruction.
    ///
    /// - Parameters:
    ///   - sight: What the tenant that asks may be told; nil: the operator asks.
    ///   - place: The pointer into the body, made of a record and of a pointer into that.
    package init(_ refusal: InstructionRefusal, for sight: TenantSight?, place: (String, String?) -> String?) {
        let mistakes = refusal.problems.map { problem -> Mistake in
            let pointer = problem.record.flatMap { place($0, problem.pointer) }
            guard let sight else {
                return Mistake(
                    pointer: pointer, detail: problem.message, hint: problem.hint, example: problem.example,
                    related: problem.related.isEmpty ? nil : problem.related)
            }
            let isOwn = problem.record?.hasPrefix("\(sight.tenant)/") == true
            let example = isOwn ? problem.example.flatMap(sight.shown) : nil
            // What is no conflict is about the tenant's own words alone.
            let isClear =
                refusal.stage == .conflict || refusal.stage == .unavailable
                ? sight.hasOnlyOwn(problem) : !problem.isAboutMore(than: sight.tenant)
            guard isOwn, isClear else {
                return Mistake(
                    pointer: isOwn ? pointer : nil, detail: Self.foreign, hint: Self.foreignHint, example: example)
            }
            return Mistake(pointer: pointer, detail: problem.message, hint: problem.hint, example: example)
        }
        let kind: Kind =
            switch refusal.stage {
            case .invalid: .invalid
            case .forbidden: .forbidden
            case .conflict: .conflict
            case .unavailable: .unavailable
            }
        self.init(
            kind, mistakes.first?.detail ?? "it cannot be done", hint: mistakes.first?.hint, errors: mistakes,
            retryAfter: kind == .unavailable ? Self.pause : nil)
    }

    /// How many seconds an application that refused gets until it is asked again.
    private static let pause = 5

    private static let foreign = "it does not fit beside what is not yours"
    private static let foreignHint =
        "use other addresses, ports or applications, or another order of them, or ask the operator"

    /// A sentence about a tenant's record, as the tenant may see it.
    ///
    /// - Parameter sight: nil: the operator's.
    package static func shown(_ sentence: String, to sight: TenantSight?) -> String {
        guard let sight, !sight.hasOnlyOwn(sentence) else { return sentence }
        return foreign
    }

    /// The same for a tenant: why the database or the control process fails is the operator's to know.
    package var withoutDetails: Problem {
        // The mistakes of a refusal are those that the asker may see.
        guard errors == nil else { return self }
        guard status == Kind.failed.status || status == Kind.unavailable.status else { return self }
        let kind: Kind = status == Kind.failed.status ? .failed : .unavailable
        return Problem(
            kind, "it cannot be done now", hint: "try again; if it stays so, ask the operator", retryAfter: retryAfter)
    }
}

extension InstructionProblem {
    /// True if it has to do with lines of the file, or with records of others.
    func isAboutMore(than tenant: String) -> Bool {
        related.count > relatedRecords.count || relatedRecords.contains { !$0.hasPrefix("\(tenant)/") }
            || Self.names(message, moreThan: tenant) || Self.names(hint ?? "", moreThan: tenant)
    }

    /// True if a sentence names a line of the file, or a record of others (`SourceOrigin.place`).
    static func names(_ sentence: String, moreThan tenant: String) -> Bool {
        var rest = Substring(sentence)
        while let space = rest.firstIndex(of: " ") {
            if rest.hasPrefix("line "), rest.dropFirst(5).first?.isNumber == true { return true }
            if rest.hasPrefix("record ") {
                // An id stands in quotes if it has other characters than letters and digits.
                let id = rest.dropFirst("record ".count).drop { $0 == "\"" }
                if !id.hasPrefix("\(tenant)/") { return true }
            }
            rest = rest[rest.index(after: space)...]
        }
        return false
    }
}
