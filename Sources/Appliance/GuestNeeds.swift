import Attachments
import Fabric
import Plan
import Reporting

/// What the machine must have for applications that are no commands of its own.
struct GuestNeeds {
    private let images: [NodePlan]

    init(_ plan: AppliancePlan) {
        images = plan.nodes.filter { $0.image != nil }
    }

    /// - Throws: `ApplianceError` for the first node that cannot start here.
    func require() throws(ApplianceError) {
        if let error = faults.first { throw error }
    }

    /// The same for `doctor`: a finding for each node that cannot start here.
    var findings: [Doctor.Finding] {
        let faults = faults
        guard faults.isEmpty else {
            return faults.map { Doctor.Finding("containers", .fail, $0.message, hint: $0.hint) }
        }
        guard !images.isEmpty, let engine = ContainerProgram(.podman) else { return [] }
        return [Doctor.Finding("containers", .ok, "\(engine.path) runs the images of \(Plural.nodes(images.count))")]
    }

    private var faults: [ApplianceError] {
        if images.isEmpty { return [] }
        if ContainerProgram(.podman) == nil {
            let other = "docker puts no container into a network namespace that exists"
            return images.map { node in
                ApplianceError(
                    .machine,
                    "\(node.place): podman is not installed, and would run its image \(node.image?.name ?? "")",
                    hint: "install podman" + (ContainerProgram(.docker) == nil ? "" : ": \(other)"))
            }
        }
        guard UserNamespace.isEntered else { return [] }
        return images.map { node in
            ApplianceError(
                .machine, "\(node.place): its image \(node.image?.name ?? "") needs root", hint: "run it with sudo")
        }
    }
}
