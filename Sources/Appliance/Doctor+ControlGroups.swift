import Fabric
import Reporting

/// What bounds the programs of nodes with `limits`.
extension Doctor {
    func controlGroups() -> Finding {
        let groups = ControlGroups(proc: places.proc)
        let found = ControlGroups.Controller.allCases.compactMap { controller in
            groups.places[controller].map { "\(controller.word) by \($0.path) (version \($0.isUnified ? 2 : 1))" }
        }
        let refused = ControlGroups.Controller.allCases.compactMap { controller in
            groups.refusals[controller].map { (controller, $0.why, $0.hint) }
        }
        guard let (first, why, hint) = refused.first else {
            return Finding("control groups", .ok, "`limits` are kept: \(found.joined(separator: ", "))")
        }
        let instead = refused.map { controller, _, _ in
            switch controller {
            case .memory: "memory is bounded for each process alone (RLIMIT_AS)"
            case .processes: "processes are bounded for users other than root alone (RLIMIT_NPROC)"
            case .processor: "the processor is not bounded"
            }
        }
        return Finding(
            "control groups", .warn,
            "`limits` are kept in part: \(instead.joined(separator: ", ")); \(first.word): \(why)", hint: hint)
    }
}
