import Foundation
import Testing

/// Every scenario of the repository, with the real applications in it, as its own file proves it. A folder with a
/// `topology.yaml` is enough to be tested here; further files of it are called `topology-….yaml`.
@Suite(.serialized) struct TopologyFolderTests {
    /// The files, below `Topologies`; the four-interface scenario has a suite of its own, which runs it more than once.
    static let files: [String] = {
        let root = Product.root.appendingPathComponent("Topologies").path
        let folders = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return folders.filter { $0 != "four-interface" }.flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)")) ?? [])
                .filter { $0.hasPrefix("topology") && $0.hasSuffix(".yaml") }.map { "\(folder)/\($0)" }
        }.sorted()
    }()

    @Test func thereAreFolders() {
        let named = [
            "access-circuits", "attached", "balance", "branch", "caches-and-switches", "database", "dns-security",
            "egress",
            "failover", "guests", "impaired", "intrusion-prevention", "long-chain", "network-address", "one-armed",
            "ports", "proxy", "remote", "routing",
            "tenants", "tls-inspection", "transparent-ips", "two-engines", "two-vendors", "virtual-router",
            "virus-detection",
            "voice-and-things", "vpn", "web-security",
        ].map { "\($0)/topology.yaml" }
        #expect(
            Set(Self.files).isSuperset(
                of: named + [
                    "two-engines/topology-by-direction.yaml", "attached/topology-container.yaml",
                    "guests/topology-machine.yaml",
                    "remote/topology-two-sites.yaml", "remote/topology-service-headers.yaml",
                    "remote/topology-encrypted.yaml",
                ]))
    }

    @Test(arguments: files) func everyCheckOfTheFileHolds(_ name: String) throws {
        let file = Product.root.appendingPathComponent("Topologies/\(name)").path
        let name = "t\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        // What a scenario needs of the machine is played by a script of its own, in namespaces of its own.
        let machine = URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("machine.sh").path
        let words = ["run", file, "--name", name]
        let finished =
            FileManager.default.fileExists(atPath: machine)
            ? try run(machine, [Product.tapline] + words, timeout: 300) : try run(Product.tapline, words, timeout: 300)
        #expect(finished.status == 0, "\(finished.output)")
        #expect(!FileManager.default.fileExists(atPath: "/run/tapline/\(name)"))
    }
}
