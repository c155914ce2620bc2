import Forwarding

extension AppliancePlan {
    /// Has the engine's table judge by the lists of `access`: those of applications with `access: engine`, and all filters.
    public mutating func judgeByEngine() {
        table.access = access.filter { $0.isByEngine || !$0.filters.isEmpty }.map { access in
            AccessPoint(
                application: access.application, nodes: Set(access.nodes),
                lists: (access.isByEngine ? access.lists : []) + access.filters)
        }
    }
}
