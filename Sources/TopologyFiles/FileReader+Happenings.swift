import Plan
import Reporting

extension FileReader {
    /// How an instance must stand.
    func instance(_ name: Located<String>, _ fields: Fields) -> RawStep.Action? {
        guard fields["is"] != nil else {
            expectsNothing(fields, "the instance", "is: up")
            return nil
        }
        let standing: Located<InstanceExpectation.Standing>? = nodes.choice(fields["is"], "`is`")
        let reason = nodes.texts(fields["reason"], "`reason`").map(\.value)
        return standing.map { .instance(name: name, InstanceExpectation($0.value, reason: reason)) }
    }

    /// The event that must have happened, and how often.
    func event(_ name: Located<String>, _ fields: Fields) -> RawStep.Action? {
        guard let kind = EventKind.general.first(where: { $0.rawValue == name.value }) else {
            diagnostics.error(
                name.origin, "there is no event \(quoted(name.value))",
                hint: Spelling.hint(for: name.value, among: EventKind.general.map(\.rawValue), kind: "events"))
            return nil
        }
        let event = RawEvent(
            kind: kind, application: nodes.text(fields["application"], "`application`"),
            instance: nodes.text(fields["instance"], "`instance`"), check: nodes.text(fields["check"], "`check`"),
            engine: nodes.integer(fields["engine"], "`engine`", in: 1...16)?.value,
            reason: nodes.texts(fields["reason"], "`reason`").map(\.value),
            times: number(fields["times"], "`times`") ?? NumberExpectation(.atLeast, 1))
        return .event(event, since(fields))
    }
}
