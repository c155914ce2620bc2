import Attachments
import Plan
import Reporting

/// That a topology makes containers of images, as its state file has it. Their labels tell which they are.
public struct OwnedContainers: Codable, Sendable, Equatable {
    /// The engine that makes them.
    public var engine: String
    /// What the engine gets of the environment: where it keeps its containers follows from it.
    public var environment: [String]

    /// Those of a plan; nil if it has none.
    package static func all(of plan: AppliancePlan) -> OwnedContainers? {
        guard plan.nodes.contains(where: { $0.image != nil }) else { return nil }
        return OwnedContainers(
            engine: ContainerEngine.podman.rawValue, environment: ContainerProgram.environment)
    }
}

extension Teardown {
    /// Ends and removes the containers of the topology that are left.
    ///
    /// - Throws: `ApplianceError` if the engine refuses, or is gone.
    func removeContainers(_ state: ApplianceState?) throws(ApplianceError) {
        let owned = state?.containers
        // A topology that can be read and makes no containers needs no engine.
        guard owned != nil || state == nil else { return }
        guard let program = owned.map({ ContainerEngine(rawValue: $0.engine) }) ?? .podman,
            let engine = ContainerProgram(program)
        else {
            guard let owned else { return }
            throw ApplianceError(
                .machine, "\(owned.engine) is not installed any more, and made the topology's containers",
                hint: "install it again, and repeat the command")
        }
        guard owned != nil || engine.isUsed else { return }
        let found = try engine.marked(environment: owned?.environment)[directory.folder] ?? []
        try engine.remove(found, environment: owned?.environment)
    }
}
