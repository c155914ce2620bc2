import ControlAPI
import EventLoop
import Glibc
import Instructions
import Records
import Reporting
import Synchronization
import Wire

/// Who asks: a token, a client certificate, or the operator's socket.
extension TenantService {
    private static let invalid = Problem(
        .unauthorised, "the token is not valid", hint: "it may have expired, or was revoked: ask the operator")

    /// Who sends a request. A token goes before a certificate, and the two must be of one tenant.
    ///
    /// A token that is refused although it is one looks like any that is none. The audit says why.
    func identify(_ request: APIRequest, for route: Route) throws(Problem) -> Caller {
        let certified = try certifiedTenant(request.peer)
        if let session = request.session {
            // The token was shown when the session began. It may have been revoked since, or be shown from elsewhere.
            guard try Self.store({ () throws(ApplianceError) in try store.isValid(session.token) }) else {
                throw InstructionDesk.ended
            }
            if let reason = try refusal(of: session, from: request.peer, certified?.tenant) {
                try note(session, request, route.name.rawValue, reason)
                throw InstructionDesk.ended
            }
            return Caller(session, origin: "\(request.origin), by the page")
        }
        guard let field = try request.field("authorization") else {
            if request.isOperators {
                return Caller(role: .operator, tenant: nil, who: "operator", origin: request.origin)
            }
            guard let (tenant, name) = certified, let names = request.peer?.certificate else {
                return Caller(role: .stranger, tenant: nil, who: "stranger", origin: request.origin)
            }
            return Caller(
                role: .tenant, tenant: tenant.name, who: Instruction.certificate + name, origin: request.origin,
                certificate: names)
        }
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer", let token = AccessToken(parts[1]) else {
            throw Problem(.unauthorised, "this is no token", hint: "Authorization: Bearer TOKEN")
        }
        guard let admission = try admission(of: token, in: request, for: route.name.rawValue) else {
            throw Self.invalid
        }
        return Caller(admission, origin: request.origin)
    }

    /// What a token lets its holder do where a request came from; nil if it is not valid there.
    ///
    /// - Parameter what: What it was shown for, for the audit.
    func admission(
        of token: AccessToken, in request: APIRequest, for what: String
    ) throws(Problem) -> Admission? {
        guard let admission = try Self.store({ () throws(ApplianceError) in try store.admission(of: token) }) else {
            return nil
        }
        if let reason = try refusal(of: admission, from: request.peer, try certifiedTenant(request.peer)?.tenant) {
            try note(admission, request, what, reason)
            return nil
        }
        return admission
    }

    /// The tenant of a client certificate, and the name that says so; nil: there is none.
    private func certifiedTenant(
        _ peer: APIRequest.Peer?
    ) throws(Problem) -> (tenant: TenantsDescription.Tenant, name: String)? {
        // By the clock of tokens: what has expired stays so if the machine's clock is set back.
        guard let peer, !peer.certificate.isEmpty, store.now() <= peer.expires else { return nil }
        let description = try Self.store { () throws(ApplianceError) in try control.description() }
        guard let tenant = description.tenant(certified: peer.certificate),
            let name = peer.certificate.first(where: tenant.certificates.contains)
        else { return nil }
        return (tenant, name)
    }

    /// Why a valid token is none here.
    private func refusal(
        of admission: Admission, from peer: APIRequest.Peer?, _ certified: TenantsDescription.Tenant?
    ) throws(Problem) -> String? {
        if let certified, certified.name != admission.tenant {
            return "the client certificate is of tenant \(certified.name)"
        }
        guard admission.isOwn else { return nil }
        guard let peer else { return "the token is valid at the management address alone" }
        let description = try Self.store { () throws(ApplianceError) in try control.description() }
        let origins = description.tenants.first { $0.name == admission.tenant }?.origins ?? []
        let source = IPPrefix(host: peer.address)
        let isOwn = origins.contains { IPPrefix($0)?.contains(source) ?? false }
        return isOwn ? nil : "the token is valid from the tenant's own customers alone"
    }

    /// How many refusals of one token are noted in a minute.
    private static let notedPerMinute = 30

    private func note(
        _ admission: Admission, _ request: APIRequest, _ what: String, _ reason: String
    ) throws(Problem) {
        let now = monotonicTime().nanoseconds
        let isNoted = noted.withLock { noted in
            noted[admission.token, default: InstructionBudget(perMinute: Self.notedPerMinute, now: now)].take(
                perMinute: Self.notedPerMinute, now: now) == nil
        }
        guard isNoted else { return }
        let instruction = Instruction(
            tenant: admission.tenant, who: admission.token, origin: request.origin, name: what)
        try Self.store { () throws(ApplianceError) in try store.noteRefusal(instruction, reason: reason) }
    }
}

extension TenantsDescription {
    /// The tenant that one of the names in a client certificate stands for; nil: they stand for none, or for several.
    func tenant(certified names: [String]) -> Tenant? {
        let found = tenants.filter { tenant in tenant.certificates.contains(where: names.contains) }
        return found.count == 1 ? found[0] : nil
    }
}
