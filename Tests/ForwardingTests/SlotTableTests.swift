import Forwarding
import Testing
import Wire

/// Who owns which slot, and what changes when members come and go.
@Suite("Slots of instances") struct SlotTableTests {
    private func group(_ weights: [Int], seed: UInt64 = 7, active: Int? = nil) -> InstanceGroup {
        InstanceGroup(
            name: "web", seed: seed, active: active,
            members: weights.enumerated().map { GroupMember(name: "web-\($0)", weight: $1) })
    }

    private func names(_ group: InstanceGroup) -> [String] {
        group.slots().owners.map { group.members[Int($0)].name }
    }

    @Test("a member that goes leaves the others' slots alone, whoever went before", arguments: [2, 3, 7, 64])
    func losses(count: Int) {
        for weights in [[Int](repeating: 1, count: count), (0..<count).map { $0 % 5 + 1 }] {
            var group = group(weights)
            var before = names(group)
            for victim in stride(from: 0, to: count - 1, by: Swift.max(1, count / 5)) {
                group.members[victim].availability = .down
                let after = names(group)
                let lost = group.members[victim].name
                #expect(zip(before, after).allSatisfy { $0 == $1 || $0 == lost })
                #expect(!after.contains(lost))
                before = after
            }
        }
    }

    @Test("what comes takes only its own, wherever it stands among the others")
    func additions() {
        let before = group([1, 2, 3])
        for place in 0...3 {
            var after = before
            after.members.insert(GroupMember(name: "another", weight: 2), at: place)
            let changed = zip(names(before), names(after)).filter { $0 != $1 }
            #expect(changed.allSatisfy { $0.1 == "another" })
            #expect(abs(Double(changed.count) / 65_536 - 0.25) < 0.02)
        }
    }

    @Test("more weight takes from the others, less gives to them, and nothing changes between them")
    func weights() {
        let before = group([2, 2, 2])
        var after = before
        after.members[1].weight = 6
        let changed = zip(names(before), names(after)).filter { $0 != $1 }
        #expect(!changed.isEmpty && changed.allSatisfy { $0.1 == "web-1" })
        after.members[1].weight = 1
        let back = zip(names(before), names(after)).filter { $0 != $1 }
        #expect(!back.isEmpty && back.allSatisfy { $0.0 == "web-1" })
    }

    @Test("weights that mean the same are the same, and none at all mean equal ones")
    func proportions() {
        #expect(group([1, 2, 3]).slots() == group([10, 20, 30]).slots())
        #expect(group([0, 0]).slots() == group([1, 1]).slots())
        #expect(group([0, 1, 0]).slots().owners.allSatisfy { $0 == 1 })
    }

    @Test(
        "the table is what claiming slot by slot makes, in time order", arguments: [[1, 1], [3, 1, 2], [5, 5, 1, 4]])
    func naiveTwin(weights: [Int]) {
        // The time of a member's first claim of a slot, looked for member by member.
        let group = group(weights, seed: 99)
        let owners = group.slots().owners
        for victim in weights.indices {
            var alone = group
            for index in weights.indices where index != victim { alone.members[index].weight = 0 }
            var pair = group
            for index in weights.indices where index != victim {
                pair.members[index].availability = .down
            }
            #expect(pair.slots() == alone.slots())
        }
        // Rendezvous: who wins among all wins against each other one, too.
        for first in weights.indices {
            for second in weights.indices where second > first {
                var pair = group
                for index in weights.indices where index != first && index != second {
                    pair.members[index].availability = .down
                }
                let duel = pair.slots().owners
                #expect(
                    zip(owners, duel).allSatisfy { winner, better in
                        Int(winner) != first && Int(winner) != second || winner == better
                    })
            }
        }
    }

    @Test("seats: a spare takes over exactly what the member had whose place it takes")
    func spares() {
        var group = group([1, 1, 1, 1], active: 2)
        group.members[3].priority = 200
        // Active are web-3 by its priority, and web-0, the first of equals.
        let before = names(group)
        #expect(Set(before) == ["web-3", "web-0"])
        group.members[3].availability = .down
        let after = names(group)
        #expect(zip(before, after).allSatisfy { $0 == "web-3" ? $1 == "web-1" : $0 == $1 })
        group.members[3].availability = .up
        #expect(names(group) == before)
        group.members[0].availability = .down
        group.members[1].availability = .down
        group.members[2].availability = .down
        #expect(Set(names(group)) == ["web-3"])
    }

    @Test("down is a group that has fewer left than it needs")
    func minimum() {
        var group = group([1, 1, 1])
        group.minimum = 2
        group.members[0].availability = .down
        #expect(!group.isDown)
        group.members[1].availability = .draining
        #expect(!group.isDown)
        group.members[1].availability = .down
        #expect(group.isDown)
    }

    @Test("what moves is counted as a part of all slots")
    func moved() {
        let before = group([1, 1])
        var after = before
        #expect(before.shareMoved(to: after) == 0)
        after.members[0].availability = .down
        #expect(abs(before.shareMoved(to: after) - 0.5) < 0.02)
        after.members[1].availability = .down
        #expect(before.shareMoved(to: after) == 1)
        #expect(after.shareMoved(to: after) == 0)
    }

    @Test("counted over flows, nobody's loss costs another a flow", arguments: [2, 5, 100, 256])
    func measured(count: Int) {
        for weights in [[Int](repeating: 1, count: count), (0..<count).map { $0 % 9 + 1 }] {
            let measured = BalanceMeasurement(weights: weights, flows: 20_000, seed: 3)
            #expect(measured.movements.allSatisfy { $0.others == 0 })
            #expect(measured.movements.allSatisfy { $0.concerned > 0 })
        }
    }
}
