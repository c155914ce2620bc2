import Foundation
import Testing
import TopologyFiles

/// The top folder of the sources.
let sourcesRoot = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")

@Suite struct SchemaTests {
    @Test func theCommittedSchemaIsTheGrammars() throws {
        let committed = try String(contentsOfFile: "\(sourcesRoot)/Topologies/topology.schema.json", encoding: .utf8)
        #expect(committed == TopologySchema.text(), "run: tapline schema > Topologies/topology.schema.json")
    }
}
