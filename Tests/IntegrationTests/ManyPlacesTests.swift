import Foundation
import Testing

/// A capture of more places than a section of pcapng has interfaces.
@Suite(.serialized) struct ManyPlacesTests {
    private static let topology = """
        name: crowd
        interfaces:
          street:  { address: 10.0.0.1/22 }
          servers: { address: 198.18.4.1/24 }
        customers: { user: { count: 256, interface: street } }
        applications: { web: { attach: servers } }
        services: { shop: { address: 203.0.113.80, sequence: web } }
        """

    @Test func theFirstHaveOneEachAndTheOthersShareOne() throws {
        try Lab.with(Self.topology, files: [:]) { lab in
            let path = lab.folder.appendingPathComponent("crowd.pcapng").path
            let process = Process()
            process.executableURL = URL(fileURLWithPath: Product.tapline)
            process.arguments = ["capture", lab.name, "icmp", "-w", path, "--for", "300s"]
            try process.run()
            for _ in 0..<1_500 where !FileManager.default.fileExists(atPath: path) { usleep(20_000) }
            // One place is the server's, and one on each interface that of the others. So 251 users have one of their own.
            let pinged = try run(
                "/usr/bin/env",
                [
                    "sh", "-c",
                    "for n in $(seq 1 256); do ip netns exec \"$0-user-$n\" ping -q -n -c 1 -W 20 203.0.113.80 || exit 1; done",
                    lab.name,
                ], timeout: 280)
            #expect(pinged.status == 0, "\(pinged.output)")
            try process.waitForLooks()
            process.interrupt()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            let command =
                "tshark -r \"$0\" -T fields -E separator=, -e frame.interface_name -e frame.comment 2>/dev/null"
            let read = try run("/usr/bin/env", ["HOME=/nonexistent", "sh", "-c", command, path])
            let rows = read.output.split(separator: "\n")
            #expect(rows.count == 4 * 256, "\(rows.count)")
            for number in 1...256 {
                let own = rows.count { $0.hasPrefix("user-\(number) on street,") }
                let shared = rows.count { $0.hasPrefix("street,node: user-\(number)\\n") }
                #expect(
                    number <= 251 ? (own, shared) == (2, 0) : (own, shared) == (0, 2), "\(number): \(own), \(shared)")
            }
        }
    }
}
