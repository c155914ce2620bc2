import Foundation
import Testing

/// Packets that checks send to groups and to broadcast addresses.
@Suite struct CheckGroupTests {
    private static let topology = """
        name: groups
        interfaces:
          lan:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          core: { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
          inspection: { address: 198.18.2.1/24 }
        customers: { alice: lan, bob: lan }
        applications:
          ids: { passive: true, attach: inspection }
          web: { attach: core }
        services:
          chat: { between: [alice, bob, web], address: [239.1.1.1, "ff15::1", 255.255.255.255], subnet: true, ports: udp/5000, distribute: ids }

        """

    @Test func eachNodeOfTheServiceGetsThem() throws {
        let groups = ["239.1.1.1", "\"ff15::1\"", "255.255.255.255", "192.0.2.255"]
        var checks = ""
        for group in groups {
            checks += """
                - { name: "\(group.replacing("\"", with: ""))", packet: { from: alice, to: \(group), port: udp/5000 }, reaches: [[ids, bob, web]], answer: [] }

                """
        }
        checks += """
            - name: numbered
              path: { from: bob, to: 255.255.255.255, port: udp/5000, count: 50, paths: 1, through: [[alice, web]] }
            - name: meanwhile
              outage: { from: bob, to: 192.0.2.255, port: udp/5000, while: [{ wait: 100ms }], lost: 0 }

            """
        let run = try CheckedTopology(Self.topology, checks: checks, files: [:])
        for name in groups { run.expectHeld(name.replacing("\"", with: "")) }
        run.expectHeld("numbered")
        run.expectHeld("meanwhile")
    }
}
