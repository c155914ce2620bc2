import ControlAPI
import Instructions
import Records
import Reporting

/// Looking at access lists.
extension TenantService {
    /// - Parameter pointer: Where the body names it; nil: the path does.
    static func noAccess(_ application: String, at pointer: String? = nil) -> Problem {
        Problem(.notFound, "there is no access list for \(ControlText.shown(application, most: 64))", at: pointer)
    }

    func readAccess(_ values: [String: String], _ caller: Caller) throws(Problem) -> APIAnswer {
        let application = values["application"] ?? ""
        guard let tenant = caller.tenant,
            let kept = try Self.store({ () throws(ApplianceError) in try store.access(application, of: tenant) })
        else { throw Self.noAccess(application) }
        var answer = try Self.answer(200, try views([kept], for: caller)[0])
        answer.headers.append(("ETag", "\"\(kept.version)\""))
        return answer
    }

    func listAccess(
        _ target: RequestTarget, _ route: Route, _ caller: Caller
    ) throws(Problem) -> APIAnswer {
        let (limit, after) = (try Self.limit(target), try Self.place(target, route))
        let kept = try Self.store { () throws(ApplianceError) in
            try store.access(of: caller.tenant, after: after, limit: limit + 1)
        }
        let page = Array(kept.prefix(limit))
        let next = kept.count > limit ? page.last.map { "\($0.list.tenant)/\($0.list.application)" } : nil
        return try Self.answer(200, AccessListing(access: try views(page, for: caller), next: next))
    }

    /// Access lists as they are answered, with how often their rules matched.
    private func views(_ kept: [KeptAccess], for caller: Caller) throws(Problem) -> [AccessView] {
        guard !kept.isEmpty else { return [] }
        let (description, states) = try Self.store { () throws(ApplianceError) in
            (try control.description(), try control.accessStates(of: caller.tenant))
        }
        func reasons(_ records: [TenantsDescription.SetAside]) -> [String: [String]] {
            Dictionary(records.map { ($0.id, $0.reasons) }) { first, _ in first }
        }
        let (aside, inPart) = (reasons(description.setAside), reasons(description.inPart))
        let known = Dictionary(states.map { ($0.id, $0) }) { first, _ in first }
        return kept.map { kept in
            let own = description.tenants.first { $0.name == kept.list.tenant }
            let sight = own.map(TenantSight.init) ?? TenantSight(tenant: kept.list.tenant)
            return AccessView(
                kept.list, version: kept.version,
                setAside: aside[kept.list.id]?.map { Problem.shown($0, to: caller.role == .operator ? nil : sight) },
                inPart: inPart[kept.list.id],
                isPending: kept.isPending,
                state: known[kept.list.id])
        }
    }
}
