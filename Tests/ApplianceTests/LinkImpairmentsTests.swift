import ControlAPI
import Engine
import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles

@testable import Appliance

/// What engines are told of impaired links, as files, commands and checks ask for them.
@Suite("Impaired links") struct LinkImpairmentsTests {
    private func plan(_ impair: String) throws -> AppliancePlan {
        try Planner.plan(
            TopologyFile.parse(
                """
                name: t
                interfaces:
                  a: { address: 192.0.2.1/24, impair: \(impair) }
                  b: { address: 198.18.1.1/24 }
                customers: { alice: { interface: a } }
                applications: { web: { attach: b } }
                services: { shop: { address: 203.0.113.80, sequence: [web] } }
                """, path: "t.yaml"))
    }

    private func pair(_ milliseconds: Int) -> ImpairmentPair {
        var impairment = Impairment()
        impairment.delay = .milliseconds(milliseconds)
        return ImpairmentPair(toNodes: impairment)
    }

    @Test("a link whose settings stay goes on where it is, and another setting begins anew in its place")
    func epochs() throws {
        var links = LinkImpairments()
        let both = try plan("{ delay: 5ms, from-nodes: { delay: 9ms } }")
        let first = links.orders(both)
        #expect(first.links.map(\.slot) == [0, 1] && first.fresh == [0, 1])
        #expect(Set(first.links.map(\.stream)).count == 2)
        let again = links.orders(both)
        #expect(again.links == first.links && again.fresh == [])
        let changed = links.orders(try plan("{ delay: 5ms, from-nodes: { delay: 8ms } }"))
        #expect(changed.links[0] == first.links[0])
        #expect(changed.links[1].slot == 1 && changed.links[1].epoch > first.links[1].epoch)
        #expect(changed.fresh == [1])
        let none = try plan("{}")
        #expect(links.orders(none).links == [])
        let report = links.report { _ in .init() }
        #expect(report.isEmpty)
    }

    @Test("a command replaces the file for its link alone, and what it returns brings back what was before")
    func commands() throws {
        var links = LinkImpairments()
        let plan = try plan("{ delay: 5ms }")
        let place = ImpairmentPlace.interface("a")
        let filed = links.orders(plan).links
        let before = links.command(place, pair(1))
        #expect(before == nil)
        _ = links.command(.service("shop"), pair(2))
        let commanded = links.orders(plan)
        #expect(commanded.links.map(\.impairment.delay) == [.milliseconds(1), .milliseconds(2)])
        #expect(Set(commanded.links.map(\.slot)).count == 2)
        let report = links.report { _ in .init() }
        #expect(report.map(\.link) == ["a", "service/shop"])
        #expect(report.map(\.isCommanded) == [true, true])
        // Nothing happens to the link although the file says so.
        _ = links.command(place, ImpairmentPair())
        #expect(links.orders(plan).links.count == 1)
        _ = links.command(place, before)
        let back = links.orders(plan).links.filter { $0.places[0].match == .everything }
        #expect(back.map(\.stream) == filed.map(\.stream))
        #expect(links.forgetCommands() == [.service("shop")])
        #expect(links.orders(plan).links.map(\.impairment) == filed.map(\.impairment))
    }

    @Test("a command that asks for the same again begins the sequence anew, in the directions that it names")
    func sameAgain() throws {
        var links = LinkImpairments()
        let plan = try plan("{ delay: 5ms }")
        let place = ImpairmentPlace.interface("a")
        let impairment = ImpairmentPair(toNodes: pair(1).toNodes, fromNodes: pair(1).toNodes)
        _ = links.command(place, impairment)
        let first = links.orders(plan)
        #expect(first.links.count == 2)
        _ = links.command(place, impairment, begins: [.fromNodes])
        let again = links.orders(plan)
        #expect(again.links.map(\.slot) == first.links.map(\.slot) && again.fresh == [first.links[1].slot])
        #expect(again.links[0] == first.links[0] && again.links[1].epoch > first.links[1].epoch)
        #expect(links.orders(plan).links == again.links)
    }

    @Test("a link that the topology does not have any more is passed over")
    func absent() throws {
        var links = LinkImpairments()
        _ = links.command(.leg(node: "gone", interface: "a"), pair(1))
        let none = try plan("{}")
        #expect(links.orders(none).links == [])
    }
}
