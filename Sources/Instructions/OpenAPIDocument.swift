import Plan
import Reporting

/// The description of the API (OpenAPI 3.1), written from the table of routes.
package enum OpenAPIDocument {
    /// The document as JSON.
    package static let text: String = document(isOperators: false).description + "\n"
    /// The same for the operator's socket, where no token is needed.
    package static let operatorsText: String = document(isOperators: true).description + "\n"

    static func object(_ members: (String, JSONValue)...) -> JSONValue {
        .object(members.map { JSONValue.Member($0.0, $0.1) })
    }

    static func list(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
    static func number(_ value: Int) -> JSONValue { .number(Double(value), written: "\(value)") }
    static func reference(_ schema: String) -> JSONValue {
        object(("$ref", .string("#/components/schemas/\(schema)")))
    }

    private static func document(isOperators: Bool) -> JSONValue {
        var paths: [JSONValue.Member] = []
        for path in uniquePaths {
            let routes = Route.all.filter { $0.path == path }
            paths.append(
                .init(path, .object(routes.map { .init($0.method.rawValue.lowercased(), operation($0, isOperators)) })))
        }
        return object(
            ("openapi", .string("3.1.0")),
            (
                "info",
                object(
                    ("title", .string("Tapline: services of tenants")), ("version", .string(Release.version)),
                    ("license", object(("name", .string("Apache-2.0")), ("identifier", .string("Apache-2.0")))),
                    (
                        "description",
                        .string(
                            "An answer with status 200 to a change means that every engine of the topology decides by it."
                        )
                    ))
            ), ("servers", .array([object(("url", .string("/")))])),
            ("security", .array([object(("token", .array([])))] + (isOperators ? [object()] : []))),
            ("paths", .object(paths)),
            (
                "components",
                object(
                    (
                        "securitySchemes",
                        object(("token", object(("type", .string("http")), ("scheme", .string("bearer")))))
                    ), ("schemas", .object(schemas + observed + accessSchemas)))
            ))
    }

    private static var uniquePaths: [String] {
        var seen: Set<String> = []
        return Route.all.map(\.path).filter { seen.insert($0).inserted }
    }

    private static func operation(_ route: Route, _ isOperators: Bool) -> JSONValue {
        var members: [JSONValue.Member] = [
            .init("operationId", .string(route.name.rawValue)), .init("summary", .string(route.summary)),
        ]
        if route.right == .anyone { members.append(.init("security", .array([]))) }
        let parameters =
            route.pathParameters.map(pathParameter) + route.query.map { queryParameter($0, of: route, isOperators) }
            + headers(route)
        if !parameters.isEmpty { members.append(.init("parameters", .array(parameters))) }
        if let body = route.body {
            members.append(
                .init(
                    "requestBody",
                    object(
                        ("required", .bool(true)),
                        ("content", object(("application/json", object(("schema", reference(body)))))))))
        }
        var responses: [JSONValue.Member] = []
        var success: [JSONValue.Member] = [.init("description", .string(route.summary))]
        if let schema = route.success.schema {
            success.append(.init("content", object(("application/json", object(("schema", reference(schema)))))))
        }
        responses.append(.init("\(route.success.status)", .object(success)))
        for status in problemStatuses(of: route) {
            responses.append(
                .init(
                    "\(status)",
                    object(
                        ("description", .string("A problem (RFC 9457).")),
                        ("content", object(("application/problem+json", object(("schema", reference("Problem")))))))))
        }
        members.append(.init("responses", .object(responses)))
        return .object(members)
    }

    /// The statuses of problems that a route may answer with.
    package static func problemStatuses(of route: Route) -> [Int] {
        var statuses = Set(route.problems + [400, 405, 413, 500, 503])
        if route.right != .anyone { statuses.formUnion([401, 403, 404]) }
        if route.right == .instructing { statuses.formUnion([422, 429]) }
        if route.body != nil { statuses.formUnion([415, 422]) }
        return statuses.sorted()
    }

    private static func pathParameter(_ name: String) -> JSONValue {
        object(
            ("name", .string(name)), ("in", .string("path")), ("required", .bool(true)),
            // A name of the operator's file may have any form.
            ("schema", name == "application" ? value : reference("Name")))
    }

    private static func queryParameter(
        _ parameter: Route.Parameter, of route: Route, _ isOperators: Bool
    ) -> JSONValue {
        let (schema, text): (JSONValue, String) =
            switch parameter {
            case .tenant: (reference("Name"), "The tenant that is meant: for the operator, who has none of their own.")
            case .limit:
                (
                    object(("type", .string("integer")), ("minimum", number(1)), ("maximum", number(Paging.most))),
                    "How many at most; \(Paging.usual) by default. A page with long parts has fewer."
                )
            case .after:
                (
                    object(("type", .string("string")), ("pattern", .string(route.afterForm))),
                    "`next` of the page before."
                )
            case .dryRun:
                (
                    object(("type", .string("string")), ("enum", list(["true", "", "false"]))),
                    "true, or nothing: say what would happen, and do nothing."
                )
            }
        return object(
            ("name", .string(parameter.rawValue)), ("in", .string("query")),
            ("required", .bool(isOperators && parameter == .tenant && route.needsTenant)),
            ("description", .string(text)), ("schema", schema))
    }

    private static func headers(_ route: Route) -> [JSONValue] {
        func header(_ name: String, _ text: String, _ pattern: String, _ examples: String...) -> JSONValue {
            object(
                ("name", .string(name)), ("in", .string("header")), ("description", .string(text)),
                (
                    "schema",
                    object(("type", .string("string")), ("pattern", .string(pattern)), ("examples", list(examples)))
                ))
        }
        var headers: [JSONValue] = []
        if route.isConditional {
            headers.append(header("If-Match", "The ETag that it must still have, or *.", EntityTags.form, "\"7\""))
            headers.append(header("If-None-Match", "*: it must not exist.", EntityTags.form, "*"))
        }
        if route.isRepeatable {
            headers.append(
                header(
                    "Idempotency-Key", "A text of your own: the same request with the same text is done once.",
                    "^[!-~]{1,128}$", "4f1c9b52"))
        }
        return headers
    }

    // MARK: - Schemas

    static func schema(
        _ properties: [(String, JSONValue)], required: [String], isOpen: Bool = false, rest: [JSONValue.Member] = []
    ) -> JSONValue {
        var members: [JSONValue.Member] = [
            .init("type", .string("object")),
            .init("properties", .object(properties.map { .init($0.0, $0.1) })),
        ]
        if !required.isEmpty { members.append(.init("required", list(required))) }
        if !isOpen { members.append(.init("additionalProperties", .bool(false))) }
        return .object(members + rest)
    }

    /// An object whose list of this name has something in it.
    private static func notEmpty(_ name: String) -> JSONValue {
        object(
            ("required", list([name])), ("properties", object((name, object(("minItems", number(1)))))))
    }

    static let words = object(("type", .string("string")))
    static let value = object(
        ("type", .string("string")), ("minLength", number(1)), ("maxLength", number(BodyReader.longestText)))
    static let whole = object(("type", .string("integer")))
    static let flag = object(("type", .string("boolean")))
    static func many(_ item: JSONValue, least: Int = 0, most: Int? = nil) -> JSONValue {
        var members: [JSONValue.Member] = [.init("type", .string("array")), .init("items", item)]
        if least > 0 { members.append(.init("minItems", number(least))) }
        if let most { members.append(.init("maxItems", number(most))) }
        return .object(members)
    }

    private static var schemas: [JSONValue.Member] {
        let most = BodyReader.mostValues
        let body: [(String, JSONValue)] = [
            ("addresses", many(value, least: 1, most: most)), ("ports", many(value, most: most)),
            ("from", many(value, most: most)), ("distribute", many(value, most: most)),
            ("sequence", many(value, least: 1, most: most)),
        ]
        let example: [JSONValue.Member] = [
            .init("addresses", list(["203.0.113.97"])), .init("ports", list(["tcp/80"])),
            .init("sequence", list(["firewall", "web"])),
        ]
        let view: [(String, JSONValue)] =
            [("tenant", words), ("name", words)] + body.map { ($0.0, many(words)) } + [
                ("version", whole), ("state", object(("enum", list(["in-force", "pending", "set-aside"])))),
                ("reasons", many(words)),
            ]
        let token: [(String, JSONValue)] = [
            ("id", words), ("tenant", words), ("read-only", flag), ("created", words), ("expires", words),
            ("state", object(("enum", list(["valid", "expired", "revoked"])))),
            ("from", object(("enum", list(["own"])))),
        ]
        let tokenKeys = ["id", "tenant", "read-only", "created", "state"]
        return [
            .init(
                "Name",
                object(
                    ("type", .string("string")), ("pattern", .string("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")))),
            .init("Document", object(("type", .string("object")))),
            .init(
                "ServiceBody",
                schema(
                    body, required: ["addresses", "sequence"], rest: [.init("examples", .array([.object(example)]))])),
            .init(
                "NamedService",
                schema([("name", reference("Name"))] + body, required: ["name", "addresses", "sequence"])),
            .init(
                "Batch",
                schema(
                    [
                        ("put", many(reference("NamedService"), most: most)), ("remove", many(value, most: most)),
                        ("put-access", many(reference("NamedAccess"), most: most)),
                        ("remove-access", many(value, most: most)),
                    ], required: [],
                    rest: [
                        .init(
                            "anyOf", .array(["put", "remove", "put-access", "remove-access"].map { notEmpty($0) })),
                        .init(
                            "examples",
                            .array([object(("put", .array([.object([.init("name", .string("shop"))] + example)])))])),
                    ])),
            .init(
                "Restore",
                schema(
                    [("version", object(("type", .string("integer")), ("minimum", number(0))))], required: ["version"])),
            .init(
                "Service",
                schema(view, required: view.map(\.0).filter { $0 != "reasons" })),
            .init(
                "ServiceList",
                schema([("services", many(reference("Service"))), ("next", words)], required: ["services"])),
            .init(
                "Outcome",
                schema(
                    [
                        ("version", whole), ("generation", whole), ("dry-run", flag), ("changes", many(words)),
                        ("services", many(reference("Service"))), ("removed", many(words)),
                        ("access", many(reference("Access"))), ("removed-access", many(words)),
                    ],
                    required: ["dry-run", "changes", "services", "removed", "access", "removed-access"])),
            .init(
                "AuditEntry",
                schema(
                    [
                        ("id", whole), ("tenant", words), ("who", words), ("origin", words), ("at", words),
                        ("instruction", words), ("subject", words), ("outcome", words), ("version", whole),
                        ("generation", whole), ("before", words), ("after", words), ("reason", words),
                    ], required: ["id", "tenant", "who", "origin", "at", "instruction", "subject", "outcome"])),
            .init(
                "AuditList",
                schema([("entries", many(reference("AuditEntry"))), ("next", words)], required: ["entries"])),
            .init(
                "Catalogue",
                schema(
                    [
                        ("tenant", words), ("customers", many(words)), ("interfaces", many(words)),
                        ("addresses", many(words)),
                        (
                            "applications",
                            many(
                                schema(
                                    [
                                        ("name", words), ("type", words), ("passive", flag), ("must", flag),
                                        ("access", many(words)),
                                    ], required: ["name", "passive", "must", "access"]))
                        ),
                        ("limits", object(("type", .string("object")), ("additionalProperties", whole))),
                    ], required: ["tenant", "customers", "interfaces", "addresses", "applications", "limits"])),
            .init(
                "TenantList",
                schema(
                    [
                        (
                            "tenants",
                            many(
                                schema(
                                    [("name", words), ("services", whole), ("tokens", whole), ("known", flag)],
                                    required: ["name", "services", "tokens", "known"]))
                        )
                    ], required: ["tenants"])),
            .init(
                "TokenRequest",
                schema(
                    [
                        ("read-only", flag),
                        (
                            "expires-in",
                            object(
                                ("type", list(["integer", "null"])), ("minimum", number(1)),
                                ("maximum", number(BodyReader.longestLife)))
                        ),
                        (
                            "from",
                            object(("type", list(["string", "null"])), ("enum", .array([.string("own"), .null])))
                        ),
                    ], required: [])),
            .init("Token", schema(token, required: tokenKeys)),
            .init("NewToken", schema(token + [("token", words)], required: tokenKeys + ["token"])),
            .init("TokenList", schema([("tokens", many(reference("Token")))], required: ["tokens"])),
            .init(
                "Problem",
                schema(
                    [
                        ("type", words), ("title", words), ("status", whole), ("detail", words), ("hint", words),
                        (
                            "errors",
                            many(
                                schema(
                                    [
                                        ("pointer", words), ("detail", words), ("hint", words), ("example", words),
                                        ("related", many(words)),
                                    ], required: ["detail"]))
                        ), ("retry-after", whole),
                    ], required: ["type", "title", "status", "detail"])),
        ]
    }
}

/// Pages of lists.
package enum Paging {
    /// How many a page has where nothing is asked.
    package static let usual = 50
    /// How many a page has at most.
    package static let most = 500
}
