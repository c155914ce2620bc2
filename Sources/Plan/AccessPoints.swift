import Forwarding

extension AppliancePlan {
    /// Has the engine's table judge by the lists of `access`: those of applications with `access: engine`.
    ///
    /// - Parameter nodes: The nodes of an application: its instances.
    public mutating func judgeByEngine(nodes: (AccessPlan) -> [String]) {
        table.access = access.filter(\.isByEngine).map { access in
            AccessPoint(application: access.application, nodes: Set(nodes(access)), lists: access.lists)
        }
    }
}
