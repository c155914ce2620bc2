import Foundation
import Testing

/// Every scenario of the repository, with the real applications in it, as its own file proves it. A folder with a
/// `topology.yaml` is enough to be tested here.
@Suite(.serialized) struct TopologyFolderTests {
    /// The names of the folders; the four-interface scenario has a suite of its own, which runs it more than once.
    static let folders: [String] = {
        let root = Product.root.appendingPathComponent("Topologies")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
        return names.sorted().filter { name in
            let file = root.appendingPathComponent("\(name)/topology.yaml").path
            return name != "four-interface" && FileManager.default.fileExists(atPath: file)
        }
    }()

    @Test func thereAreFolders() {
        let named = ["egress", "long-chain", "network-address", "one-armed", "proxy", "transparent-ips"]
        #expect(Set(Self.folders).isSuperset(of: named))
    }

    @Test(arguments: folders) func everyCheckOfTheFileHolds(_ folder: String) throws {
        let file = Product.root.appendingPathComponent("Topologies/\(folder)/topology.yaml").path
        let name = "t\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        let finished = try run(Product.tapline, ["run", file, "--name", name], timeout: 120)
        #expect(finished.status == 0, "\(finished.output)")
        #expect(!FileManager.default.fileExists(atPath: "/run/tapline/\(name)"))
    }
}
