/// What a route needs of who asks.
package enum Right: String, Sendable, CaseIterable {
    /// Nothing: it says nothing about anybody.
    case anyone
    /// To see what one tenant has.
    case reading
    /// To change what one tenant has.
    case instructing
    /// To see and change what all tenants have.
    case operating
}

/// Who asks.
package enum Role: String, Sendable, CaseIterable {
    /// Has shown no token.
    case stranger
    /// A tenant with a token that may only look.
    case reader
    /// A tenant.
    case tenant
    /// Who may open the operator's socket.
    case `operator`

    /// True if the role has a right.
    package func has(_ right: Right) -> Bool {
        switch (self, right) {
        case (_, .anyone): true
        case (.stranger, _): false
        case (.reader, .reading), (.tenant, .reading), (.tenant, .instructing): true
        case (.reader, _), (.tenant, _): false
        case (.operator, _): true
        }
    }
}

/// One thing that can be asked for. The table of all routes is the source of rights, of the OpenAPI document, and of the command
/// line.
package struct Route: Sendable {
    /// Their names; operationId in the OpenAPI document.
    package enum Name: String, Sendable, CaseIterable {
        case readDocument, listServices, readService, putService, deleteService, changeServices, restoreServices
        case listAccess, readAccess, putAccess, deleteAccess
        case readCounters, readHealth, listAudit, readCatalogue, listTenants, makeToken, listTokens, revokeToken
    }

    /// The methods of HTTP that routes use.
    package enum Method: String, Sendable { case get = "GET", put = "PUT", post = "POST", delete = "DELETE" }

    package var name: Name
    package var method: Method
    /// `/v1/services/{service}`.
    package var path: String
    package var right: Right
    /// One sentence.
    package var summary: String
    /// The parameters of the query.
    package var query: [Parameter] = []
    /// The name of the body's schema; nil: it has none.
    package var body: String?
    /// The status and the schema of the answer; no schema: it has no body.
    package var success: (status: Int, schema: String?)
    /// The statuses of problems beside those that every route has.
    package var problems: [Int] = []
    /// True if it takes `If-Match` and `If-None-Match`.
    package var isConditional = false
    /// True if it takes `Idempotency-Key`.
    package var isRepeatable = false

    /// A parameter of the query.
    package enum Parameter: String, Sendable, CaseIterable {
        /// The tenant; for the operator alone.
        case tenant
        /// How many at most.
        case limit
        /// The last one of the page before.
        case after
        /// What would happen, and do nothing.
        case dryRun = "dry-run"
    }

    /// True if it is about one tenant's: the operator says which.
    package var needsTenant: Bool {
        switch name {
        case .readService, .readAccess, .readCounters, .readHealth, .readCatalogue: true
        default: right == .instructing
        }
    }

    /// What of a tenant it is about, with the verb of a question.
    package var subject: String {
        switch name {
        case .readAccess, .putAccess, .deleteAccess: "access list is"
        case .changeServices, .restoreServices: "services and access lists are"
        case .readCatalogue: "catalogue is"
        default: "services are"
        }
    }

    /// The parts of the path.
    package var steps: [Substring] { path.split(separator: "/") }
    /// The names in the path.
    package var pathParameters: [String] {
        steps.filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }
}

extension Route {
    private static let conditional = [409, 412, 422]

    /// Every route.
    package static let all: [Route] = [
        Route(
            name: .readDocument, method: .get, path: "/v1/openapi.json", right: .anyone,
            summary: "This description of the API.", success: (200, "Document")),
        Route(
            name: .listServices, method: .get, path: "/v1/services", right: .reading,
            summary: "The services, in the order of their names.", query: [.tenant, .limit, .after],
            success: (200, "ServiceList")),
        Route(
            name: .readService, method: .get, path: "/v1/services/{service}", right: .reading,
            summary: "One service.", query: [.tenant], success: (200, "Service"), problems: [404]),
        Route(
            name: .readCounters, method: .get, path: "/v1/services/{service}/counters", right: .reading,
            summary: "What a service counts, at most half a second old.", query: [.tenant],
            success: (200, "ServiceCounters"), problems: [404]),
        Route(
            name: .readHealth, method: .get, path: "/v1/services/{service}/health", right: .reading,
            summary: "How the applications in a service's chain are.", query: [.tenant],
            success: (200, "ServiceHealth"), problems: [404]),
        Route(
            name: .putService, method: .put, path: "/v1/services/{service}", right: .instructing,
            summary: "Make or replace a service. The answer means that every engine decides by it.",
            query: [.tenant, .dryRun], body: "ServiceBody", success: (200, "Outcome"), problems: conditional,
            isConditional: true, isRepeatable: true),
        Route(
            name: .deleteService, method: .delete, path: "/v1/services/{service}", right: .instructing,
            summary: "Remove a service.", query: [.tenant, .dryRun], success: (200, "Outcome"),
            problems: [404, 409, 412], isConditional: true, isRepeatable: true),
        Route(
            name: .listAccess, method: .get, path: "/v1/access", right: .reading,
            summary: "The access lists, in the order of their applications.", query: [.tenant, .limit, .after],
            success: (200, "AccessListing")),
        Route(
            name: .readAccess, method: .get, path: "/v1/access/{application}", right: .reading,
            summary: "The access list for one application, with how often each rule matched.", query: [.tenant],
            success: (200, "Access"), problems: [404]),
        Route(
            name: .putAccess, method: .put, path: "/v1/access/{application}", right: .instructing,
            summary: "Make or replace an access list. The answer means that packets are judged by it.",
            query: [.tenant, .dryRun], body: "AccessBody", success: (200, "Outcome"), problems: conditional,
            isConditional: true, isRepeatable: true),
        Route(
            name: .deleteAccess, method: .delete, path: "/v1/access/{application}", right: .instructing,
            summary: "Remove an access list: every packet passes.", query: [.tenant, .dryRun],
            success: (200, "Outcome"), problems: [404, 409, 412], isConditional: true, isRepeatable: true),
        Route(
            name: .changeServices, method: .post, path: "/v1/batch", right: .instructing,
            summary: "Make, replace and remove several services and access lists: all or none.",
            query: [.tenant, .dryRun],
            body: "Batch", success: (200, "Outcome"), problems: [404, 409, 422], isRepeatable: true),
        Route(
            name: .restoreServices, method: .post, path: "/v1/restore", right: .instructing,
            summary: "Have services and access lists as they were at an earlier version.", query: [.tenant, .dryRun],
            body: "Restore", success: (200, "Outcome"), problems: [404, 409, 422], isRepeatable: true),
        Route(
            name: .listAudit, method: .get, path: "/v1/audit", right: .reading,
            summary: "What was done, the newest first.", query: [.tenant, .limit, .after], success: (200, "AuditList")),
        Route(
            name: .readCatalogue, method: .get, path: "/v1/catalogue", right: .reading,
            summary: "What services may use.", query: [.tenant], success: (200, "Catalogue")),
        Route(
            name: .listTenants, method: .get, path: "/v1/tenants", right: .operating,
            summary: "The tenants.", success: (200, "TenantList")),
        Route(
            name: .makeToken, method: .post, path: "/v1/tenants/{tenant}/tokens", right: .operating,
            summary: "Make a token. It is shown in this answer alone.", body: "TokenRequest",
            success: (201, "NewToken"),
            problems: [404, 422]),
        Route(
            name: .listTokens, method: .get, path: "/v1/tenants/{tenant}/tokens", right: .operating,
            summary: "The tokens of a tenant.", success: (200, "TokenList"), problems: [404]),
        Route(
            name: .revokeToken, method: .delete, path: "/v1/tenants/{tenant}/tokens/{token}", right: .operating,
            summary: "Revoke a token, at once.", success: (204, nil), problems: [404]),
    ]

    /// What is at a path.
    package enum Found: Sendable {
        /// A route, and the values of the names in its path.
        case route(Route, [String: String])
        /// The path is one, and these are its methods.
        case otherMethod([String])
        case nothing
    }

    /// Finds a route.
    ///
    /// - Parameters:
    ///   - method: As it was sent.
    ///   - steps: The parts of the path, decoded.
    package static func find(_ method: String, _ steps: [String]) -> Found {
        var methods: [String] = []
        for route in all {
            guard let values = route.values(steps) else { continue }
            if route.method.rawValue == method || route.method == .get && method == "HEAD" {
                return .route(route, values)
            }
            methods += route.method == .get ? ["GET", "HEAD"] : [route.method.rawValue]
        }
        return methods.isEmpty ? .nothing : .otherMethod(methods)
    }

    private func values(_ given: [String]) -> [String: String]? {
        let own = steps
        guard own.count == given.count else { return nil }
        var values: [String: String] = [:]
        for (step, value) in zip(own, given) {
            if step.hasPrefix("{") {
                guard !value.isEmpty else { return nil }
                values[String(step.dropFirst().dropLast())] = value
            } else if step != value {
                return nil
            }
        }
        return values
    }
}
