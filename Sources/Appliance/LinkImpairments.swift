import ControlAPI
import Engine
import EngineControl
import Forwarding
import Plan

/// The impaired links of a running topology: those of its file, and those that commands and checks ask for in their place. It
/// knows no engine.
struct LinkImpairments {
    /// One direction of a link.
    private struct Key: Hashable {
        var place: ImpairmentPlace
        var direction: ImpairedPlace.Direction
    }

    /// One direction of a link that is impaired.
    private struct Present {
        var impairment: Impairment
        var slot: Int
        var epoch: UInt64
    }

    /// What commands and checks ask for, in place of the file.
    private(set) var commanded: [ImpairmentPlace: ImpairmentPair] = [:]
    private var present: [Key: Present] = [:]
    private var order: [Key] = []
    private var epochs: UInt64 = 0
    /// What begins anew with the next orders, although its settings may be as before.
    private var begun: Set<Key> = []

    /// Asks for something in place of the file; nil: no more.
    ///
    /// - Parameter directions: Those whose sequences begin anew: whoever asks twice for the same wants the same twice.
    /// - Returns: What was asked for before.
    mutating func command(
        _ place: ImpairmentPlace, _ impairment: ImpairmentPair?, begins directions: [ImpairedPlace.Direction] = []
    ) -> ImpairmentPair? {
        let before = commanded[place]
        commanded[place] = impairment
        begun.formUnion(directions.map { Key(place: place, direction: $0) })
        return before
    }

    /// True if engines have room for the link beside all others.
    func hasRoom(for place: ImpairmentPlace, _ plan: AppliancePlan) -> Bool {
        Set(plan.impairments.map(\.place) + commanded.keys + [place]).count <= ImpairmentPlan.most
    }

    /// Asks for nothing in place of the file.
    ///
    /// - Returns: The links for which that makes a difference.
    mutating func forgetCommands() -> [ImpairmentPlace] {
        defer { commanded = [:] }
        return commanded.keys.sorted { $0.text < $1.text }
    }

    /// The links as engines get them, and the slots whose counters begin at zero. A direction of a link whose settings are as
    /// before goes on where it is, unless a command has asked for them again.
    mutating func orders(_ plan: AppliancePlan) -> (links: [ImpairedLinkOrder], fresh: [Int]) {
        var wanted = plan.impairments.filter { commanded[$0.place] == nil }
        wanted += commanded.sorted { $0.key.text < $1.key.text }.map {
            ImpairmentPlan(place: $0.key, impairment: $0.value)
        }
        let before = present
        (present, order) = ([:], [])
        var (links, fresh): ([ImpairedLinkOrder], [Int]) = ([], [])
        // The slots of links that end here are free for those that begin: their counters begin at zero.
        let places = Set(wanted.map(\.place))
        let held = before.filter { places.contains($0.key.place) }.values.map(\.slot)
        var free = Set(0..<ImpairmentSet.mostRules).subtracting(held).sorted()[...]
        for asked in wanted {
            guard let link = plan.link(asked.place) else { continue }
            for direction in ImpairedPlace.Direction.allCases {
                guard let impairment = asked.impairment[direction], !impairment.isNothing else { continue }
                let key = Key(place: asked.place, direction: direction)
                let now: Present
                if let known = before[key], known.impairment == impairment, !begun.contains(key) {
                    now = known
                } else {
                    epochs += 1
                    guard let slot = before[key]?.slot ?? free.popFirst() else { continue }
                    now = Present(impairment: impairment, slot: slot, epoch: epochs)
                    fresh.append(slot)
                }
                present[key] = now
                order.append(key)
                links.append(
                    ImpairedLinkOrder(
                        places: link.frames(direction), impairment: impairment, slot: now.slot,
                        stream: Self.stream(key), epoch: now.epoch))
            }
        }
        begun = []
        return (links, fresh)
    }

    /// The impaired links, with what was done to their packets.
    ///
    /// - Parameter count: The counters of a slot.
    func report(_ count: (Int) -> ImpairmentCount) -> [StatusReport.Impairment] {
        order.compactMap { key in
            guard let now = present[key] else { return nil }
            let counted = count(now.slot)
            return StatusReport.Impairment(
                link: key.place.text, direction: key.direction.text, settings: now.impairment.text,
                isCommanded: commanded[key.place] != nil, packets: counted.packets, bytes: counted.bytes,
                lost: counted.lost, overflowed: counted.overflowed, duplicated: counted.duplicated,
                corrupted: counted.corrupted, reordered: counted.reordered, waiting: counted.waiting)
        }
    }

    /// A number that follows from a link's name alone (FNV-1a), so that other links do not change its sequence.
    private static func stream(_ key: Key) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for octet in "\(key.place.text) \(key.direction.text)".utf8 { hash = (hash ^ UInt64(octet)) &* 0x100_0000_01B3 }
        return hash
    }
}
