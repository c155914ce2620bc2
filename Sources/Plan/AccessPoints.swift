import Forwarding

extension AppliancePlan {
    /// Has the engine's table judge by the lists of `access`: those of applications with `access: engine`.
    public mutating func judgeByEngine() {
        table.access = access.filter(\.isByEngine).map { access in
            AccessPoint(application: access.application, nodes: Set(access.nodes), lists: access.lists)
        }
    }
}
