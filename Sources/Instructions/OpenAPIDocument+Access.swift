import Plan

/// The schemas of access lists.
extension OpenAPIDocument {
    static var accessSchemas: [JSONValue.Member] {
        let most = BodyReader.mostValues
        let action = object(("enum", list(BodyReader.actions)))
        let answer = object(("enum", list(BodyReader.answers)))
        let verdict: [(String, JSONValue)] = [("action", action), ("answer", answer), ("comment", value)]
        let rule: [(String, JSONValue)] =
            verdict + [
                ("protocol", value), ("own", value), ("own-ports", many(value, most: most)), ("remote", value),
                ("remote-ports", many(value, most: most)), ("icmp-types", many(value, most: most)),
            ]
        let body: [(String, JSONValue)] = [
            ("rules", many(reference("AccessRule"), most: BodyReader.mostRules)),
            ("default", reference("AccessVerdict")),
        ]
        let hits = ("hits", reference("RuleHits"))
        return [
            .init("AccessVerdict", schema(verdict, required: ["action"])),
            .init("AccessRule", schema(rule, required: ["action"])),
            .init("AccessBody", schema(body, required: ["default"])),
            .init("NamedAccess", schema([("application", value)] + body, required: ["application", "default"])),
            .init("PacketCount", schema([("packets", whole), ("octets", whole)], required: ["packets", "octets"])),
            .init(
                "RuleHits",
                schema(
                    [("engine", reference("PacketCount")), ("application", reference("PacketCount"))], required: [])),
            .init(
                "Access",
                schema(
                    [
                        ("tenant", words), ("application", words),
                        ("rules", many(schema(rule + [hits], required: ["action"]))),
                        ("default", schema(verdict + [hits], required: ["action"])), ("version", whole),
                        ("state", object(("enum", list(["in-force", "in-part", "pending", "set-aside"])))),
                        ("reasons", many(words)),
                        ("remarks", many(reference("AccessRemark"))),
                    ], required: ["tenant", "application", "rules", "default", "version", "state", "remarks"])),
            .init("AccessRemark", schema([("pointer", words), ("detail", words)], required: ["pointer", "detail"])),
            .init(
                "AccessListing", schema([("access", many(reference("Access"))), ("next", words)], required: ["access"])),
        ]
    }
}
