public struct TopologyFile: Sendable {
    public static func read(_ path: String) throws(TopologyError) -> TopologyFile { throw TopologyError(problems: []) }
    public static func parse(_ text: String, path: String) throws(TopologyError) -> TopologyFile { throw TopologyError(problems: []) }
}
