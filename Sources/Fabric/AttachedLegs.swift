import Attachments
import Plan

/// The legs of a node in a namespace of somebody else's, as the state file has them.
public struct AttachedLegs: Codable, Sendable, Equatable {
    /// The node.
    public var node: String
    /// Where the namespace is, as a person reads it.
    public var place: String
    /// The legs' other ends, in the fabric. What is in the namespace goes with them.
    public var devices: [String]

    /// Those of all attached nodes of a plan.
    package static func all(of plan: AppliancePlan) -> [AttachedLegs] {
        plan.nodes.compactMap { node in
            node.attachment.map {
                AttachedLegs(node: node.name, place: "\($0.place)", devices: node.legs.compactMap(\.fabricDevice))
            }
        }
    }
}

extension ApplianceState {
    /// Notes what a plan makes, and where it puts legs.
    package mutating func note(_ plan: AppliancePlan) {
        namespaces = NetworkBuilder.namespaces(of: plan)
        note(AttachedLegs.all(of: plan), in: plan.fabricNamespace)
        containers = OwnedContainers.all(of: plan)
    }

    /// Notes the engine of a plan's containers. It stays noted when they are gone: looking for none costs nothing.
    package mutating func noteContainers(of plan: AppliancePlan) {
        containers = OwnedContainers.all(of: plan) ?? containers
    }

    /// Notes the devices that are lent to the fabric, or about to be.
    package mutating func note(_ lent: [DeviceLoan], in fabric: String) {
        loans = lent.isEmpty ? nil : lent
        self.fabric = attachments == nil && loans == nil ? nil : fabric
    }

    /// Forgets loans: the devices are back, or were never touched.
    package mutating func forget(_ returned: [DeviceLoan], in fabric: String) {
        note((loans ?? []).filter { !returned.contains($0) }, in: fabric)
    }

    /// Notes the legs in somebody else's namespaces, which end in the fabric.
    package mutating func note(_ legs: [AttachedLegs], in fabric: String) {
        attachments = legs.isEmpty ? nil : legs
        self.fabric = legs.isEmpty && loans == nil ? nil : fabric
    }
}
