import Plan
import Reporting
import TopologyFiles

/// The applications at which services translate their ports.
extension ServiceResolver {
    /// Notes translations at applications that the service's packets do not pass.
    func checkTranslations(of raw: RawService, _ chain: [Int]) {
        for port in raw.ports {
            guard let name = port.value.translation?.at, !chain.contains(where: { shownName($0) == name }) else {
                continue
            }
            let names = chain.map { shownName($0) }
            let isCopied = nodeIndex[name].map { file.nodes[$0].passive } ?? false
            diagnostics.error(
                port.origin,
                isCopied
                    ? "ports cannot be translated at \(quoted(name)), which is passive: it gets copies of what comes to the "
                        + "application behind it"
                    : "service \(quoted(raw.name.value)) translates a port at \(quoted(name)), and its sequence has no such "
                        + "application",
                hint: Spelling.nearest(to: name, among: names).map { "did you mean \(quoted($0))?" }
                    ?? "name an application of the sequence (\(names.joined(separator: ", "))), or write no `at` for its end"
            )
        }
    }

    /// Notes applications that judge by access lists themselves, and would see other ports than those that the lists are about.
    func checkJudges(of service: ResolvedService) {
        for port in service.raw.ports {
            guard let translation = port.value.translation else { continue }
            let first = service.chain.firstIndex { shownName($0) == translation.at } ?? service.chain.count - 1
            guard first >= 0,
                let judge = service.chain[first...].first(where: { file.nodes[$0].access?.byApplication != nil })
            else { continue }
            diagnostics.error(
                port.origin,
                "\(quoted(shownName(judge))) \(place(judge).place) judges by access lists itself, and would see "
                    + "\(port.value.translation.map { ports in "port \(ports.ports.lowerBound)" } ?? "other ports") where the "
                    + "lists say \(port.value.untranslated)",
                hint: "write `access: engine` there, or translate the port at an application behind it")
        }
    }
}
