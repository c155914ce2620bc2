import Plan

/// The schemas of what is seen of services: counters and health.
extension OpenAPIDocument {
    private static let count = object(("type", .string("integer")), ("minimum", number(0)))

    private static func one(of words: String...) -> JSONValue { object(("enum", list(words))) }

    static var observed: [JSONValue.Member] {
        let traffic: [(String, JSONValue)] = [("packets", count), ("octets", count)]
        let entry: [(String, JSONValue)] =
            [
                ("name", words), ("kind", one(of: "distribution", "sequencing")),
                ("direction", one(of: "request", "response")),
            ] + traffic
        let drop: [(String, JSONValue)] = [("reason", words), ("sentence", words)]
        let counters: [(String, JSONValue)] = [
            ("tenant", words), ("service", words), ("state", one(of: "in-force", "pending", "set-aside")),
            ("time", count), ("requests", reference("Traffic")), ("responses", reference("Traffic")),
            ("entries", many(schema(entry, required: entry.map(\.0)))),
            ("drops", many(schema(drop, required: drop.map(\.0)))),
        ]
        let instance: [(String, JSONValue)] = [
            (
                "state",
                one(
                    of: "active", "standby", "starting", "draining", "drained", "taken-out", "suppressed", "down")
            ), ("share", object(("type", .string("number")), ("minimum", number(0)), ("maximum", number(1)))),
        ]
        let application: [(String, JSONValue)] = [
            ("name", words), ("passive", flag), ("state", one(of: "up", "down", "unknown")),
            ("when-down", one(of: "spare", "bypass", "skip-rest", "drop")),
            ("instances", many(schema(instance, required: instance.map(\.0)))),
        ]
        let health: [(String, JSONValue)] = [
            ("tenant", words), ("service", words),
            ("state", one(of: "up", "degraded", "down", "not-in-force")), ("time", count),
            (
                "applications",
                many(schema(application, required: application.map(\.0).filter { $0 != "when-down" }))
            ),
        ]
        return [
            .init("Traffic", schema(traffic, required: traffic.map(\.0))),
            .init("ServiceCounters", schema(counters, required: counters.map(\.0))),
            .init("ServiceHealth", schema(health, required: health.map(\.0))),
        ]
    }
}
