public enum Planner {
    public static func plan(_ file: TopologyFile, name override: String? = nil) throws(TopologyError) -> AppliancePlan { throw TopologyError(problems: []) }
}
