import Plan
import Reporting
import Yams

extension NodeReader {
    /// The service ports of one value of `ports`: `tcp/80`, `tcp/80 -> 8080`, or a mapping `{ tcp/80: 8080, at: firewall }`.
    func servicePorts(_ node: Node) -> [Located<PortSpecification>] {
        let what = "the service port"
        if node.mapping != nil { return portMap(node, what) }
        guard let written = text(node, what) else { return [] }
        guard let parts = PortSpecification.Parts(written.value) else { return port(node, what).map { [$0] } ?? [] }
        if parts.isEveryPort {
            tell(PortSpecification.everyPort(parts.port, parts.application), what, written.origin)
            return []
        }
        guard let port = port(Located(parts.port, written.origin), what) else { return [] }
        return translated(port, what, to: parts.application, at: parts.at).map { [$0] } ?? []
    }

    /// Service ports with the applications' ports, and the place where they are translated.
    private func portMap(_ node: Node, _ what: String) -> [Located<PortSpecification>] {
        let fields = entries(node, "`ports`")
        let place = fields["at"].flatMap { text($0, "`at`") }
        let pairs = fields.pairs.filter { $0.key.value != "at" && !Self.isExtension($0.key.value) }
        if pairs.isEmpty, fields.isMapping {
            diagnostics.error(
                node.origin, "a mapping of `ports` has no service port",
                hint: "write { tcp/80: 8080 }, or { tcp/80: 8080, at: firewall }")
        }
        return pairs.compactMap { key, value in
            if value.isNothing { return port(key, what) }
            guard let application = text(value, "the application's port") else { return nil }
            let isEveryPort = PortSpecification.Parts("\(key.value) -> \(application.value)")?.isEveryPort ?? false
            if isEveryPort {
                tell(PortSpecification.everyPort(key.value, application.value), what, key.origin)
                return nil
            }
            guard let port = port(key, what) else { return nil }
            return translated(port, what, to: application.value, at: place?.value)
        }
    }

    private func translated(
        _ port: Located<PortSpecification>, _ what: String, to text: String, at place: String?
    ) -> Located<PortSpecification>? {
        do throws(PortTranslationFault) {
            return Located(try port.value.translated(to: text, at: place), port.origin)
        } catch {
            tell(error, what, port.origin)
            return nil
        }
    }

    private func tell(_ fault: PortTranslationFault, _ what: String, _ origin: SourceOrigin) {
        diagnostics.error(origin, "\(what): \(fault.message)", hint: fault.hint)
    }
}
