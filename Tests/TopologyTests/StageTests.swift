import Forwarding
import Plan
import Testing
import Wire

@testable import Planning
@testable import TopologyFiles

/// The stages from a file to a proved topology: each is made from the one before it, and keeps what it guarantees.
struct StageTests {
    private static func file(_ text: String) throws -> (file: TopologyFile, diagnostics: Diagnostics) {
        (try TopologyFile.parse(text, path: "t.yaml"), Diagnostics(path: "t.yaml", text: text))
    }

    /// What was told, as whole lines.
    private static func summary(_ diagnostics: Diagnostics) -> [String] {
        do throws(TopologyError) {
            try diagnostics.throwIfAny()
            return []
        } catch {
            return error.problems.map(\.summary)
        }
    }

    @Test func namesAreKnownBeforeAddresses() throws {
        let (file, diagnostics) = try Self.file(picture)
        let named = NamedTopology(file, name: "other", keeping: nil, diagnostics)
        #expect(diagnostics.isEmpty && named.name == "other")
        let macs = named.interfaces.engineMACs + named.nodes.legs.joined().map(\.mac)
        #expect(Set(macs).count == 4 + 6, "\(macs)")
        #expect(named.nodes.legs.map { $0.map(\.role) } == [["port"], ["port"], ["port"], ["in", "out"], ["port"]])
        // Two nodes share the first two interfaces; a TAP is the device of the only node on each other one.
        let bridged = named.fabric.attachments.map { attachment in
            if case .bridge = attachment { return true }
            return false
        }
        #expect(bridged == [true, true, false, false])
        #expect(named.fabric.devices.map { $0.map { $0 != nil } } == [[true], [true], [true], [true, false], [false]])
    }

    @Test func aNodeWithTheNameOfAnotherHasNoPlace() throws {
        let (file, diagnostics) = try Self.file(
            """
            name: twice
            interfaces: { one: { address: 192.0.2.1/24 } }
            customers: { alice: { interface: one } }
            routers: { alice: { interface: one } }
            """)
        let named = NamedTopology(file, name: nil, keeping: nil, diagnostics)
        #expect(named.nodes.legs.map(\.count) == [1, 0] && named.nodes.shared == ["alice"])
        #expect(Self.summary(diagnostics).count == 1)
    }

    @Test func anAddressBelongsToTheFirstThatHasIt() throws {
        let (file, diagnostics) = try Self.file(
            picture.replacing(
                "bob:   { interface: customers }", with: "bob: { interface: customers, address: 192.0.2.10 }"))
        let addressed = AddressedTopology(NamedTopology(file, name: nil, keeping: nil, diagnostics), diagnostics)
        #expect(addressed.legs[0][0].addresses.map(\.description) == ["192.0.2.10/24", "2001:db8:2::10/64"])
        #expect(addressed.legs[1][0].addresses.isEmpty)
        #expect(
            Self.summary(diagnostics).map { $0.contains("192.0.2.10 is already the address of alice on line 8") } == [
                true
            ]
        )
    }

    @Test func aServiceWithAMistakeIsInNoLaterStage() throws {
        let broken = picture + "  mail: { address: 203.0.113.25, sequence: [fw, wep] }\n"
        let (file, diagnostics) = try Self.file(broken)
        let resolved = TopologyResolver.resolve(file, diagnostics)
        #expect(resolved.services.map(\.raw.name.value) == ["shop"])
        #expect(resolved.entries.allSatisfy { $0.name.hasPrefix("shop.") } && !resolved.entries.isEmpty)
        #expect(Self.summary(diagnostics).count == 1)
        #expect(throws: TopologyError.self) { try RoutedTopology(resolved, diagnostics) }
    }

    @Test func theSameFileMakesTheSameStages() throws {
        let (file, diagnostics) = try Self.file(picture)
        let first = try TopologyResolver.prove(file, name: nil, keeping: nil, diagnostics)
        let second = try TopologyResolver.prove(file, name: nil, keeping: nil, diagnostics)
        #expect(first.table == second.table && !first.paths.isEmpty)
        #expect(first.paths.map(\.entry) == second.paths.map(\.entry))
        #expect(first.routed.nodes.map(\.legs) == second.routed.nodes.map(\.legs))
        let entries = first.routed.resolved.entries
        #expect(entries.map(\.counter) == Array(entries.indices))
        #expect(first.routed.resolved.bases.count == entries.count)
    }

    @Test func aKeptTopologyKeepsCountersAndNamesThroughAllStages() throws {
        let (file, diagnostics) = try Self.file(picture)
        let before = try Planner.plan(file)
        let more = picture + "  mail: { address: 203.0.113.25, sequence: [fw, web] }\n"
        let (changed, others) = try Self.file(more)
        let kept = KeptParts(before, named: "picture")
        let after = try TopologyResolver.prove(changed, name: nil, keeping: kept, others)
        func uncounted(_ entry: Entry) -> Entry {
            var entry = entry
            entry.counter = 0
            return entry
        }
        let counters = Dictionary(uniqueKeysWithValues: before.table.entries.map { (uncounted($0), $0.counter) })
        let shop = after.table.entries.filter { $0.name.hasPrefix("shop.") }
        #expect(shop.count == before.table.entries.count)
        #expect(shop.allSatisfy { counters[uncounted($0)] == $0.counter })
        #expect(Set(after.table.entries.map(\.counter)).count == after.table.entries.count)
        #expect(diagnostics.isEmpty && after.routed.resolved.interfacePlans() == before.interfaces)
    }
}
