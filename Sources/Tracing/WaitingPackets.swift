import Wire

/// The packets that are awaited somewhere, by what no chain rewrites (`TracedPacket.likeness`).
///
/// It is a ring in the order in which they came. Those that look alike and wait at the same place are a chain in the same order.
/// Neither asks for memory once the ring has grown to its size.
///
/// The packets of a superframe are a train with one slot: most nodes send a superframe on as it came, and then the first packet finds
/// all. Where one comes out that is cut in another way, the trains that wait there are taken apart.
struct WaitingPackets {
    /// Where a packet is awaited.
    struct Place: Hashable {
        fileprivate let code: UInt64

        init(_ place: WaitingPlace) { code = place.word }

        /// A number below `places`, which places may share.
        fileprivate var share: Int { Int(truncatingIfNeeded: (code &* 0x9E37_79B9_7F4A_7C15) >> 54) }

        /// The engine has it, and will write it there; without a MAC address: to anyone.
        static func egress(interface: Int, mac: MACAddress?) -> Place {
            Place(WaitingPlace.egress(interface: interface, mac: mac))
        }

        /// The node has it, and will send it on.
        static func node(_ number: Int) -> Place { Place(WaitingPlace.node(number)) }
    }

    /// What is known of a packet that is awaited.
    struct Found {
        var number: UInt64
        /// When it came there, in nanoseconds.
        var time: UInt64
    }

    /// What is known of the packets of a frame.
    enum Taken {
        /// They wait as they came; the number is the first one's, and the others follow it.
        case together(Found)
        /// Each for itself; nil for one that is not awaited.
        case each([Found?])
    }

    private struct Slot {
        /// The key of the first packet.
        var key: UInt64
        /// A hash of the flow.
        var flow: UInt64
        /// The number of the first packet; those of the others follow it.
        var number: UInt64
        var time: UInt64
        var place: Place
        /// How many came before it.
        var serial: Int
        /// Its rank among those that look alike: the serial number of the train that it was a part of.
        var rank: Int
        /// How many keys were kept before its own.
        var keys: Int
        /// Its packets, and a hash of their keys.
        var train: PacketTrain
        /// How many of the slots before it, and after it, await the same packet at other places.
        var twinsBefore: Int16
        var twinsAfter: Int16
        /// The slots before and after it in its chain; -1: none.
        var previous: Int32 = -1
        var following: Int32 = -1
        var isTaken = false
    }

    private struct Chain {
        var first: Int32 = -1
        var last: Int32 = -1
        var count: Int32 = 0
    }

    /// How long a packet is awaited, in nanoseconds. One that comes later gets another number.
    private static let patience: UInt64 = 10_000_000_000
    /// The most slots: a power of two.
    private static let capacity = 65_536
    /// The most of those that look alike.
    private static let mostAlike = 256
    /// The most keys of trains that are kept: a power of two.
    private static let keyCapacity = capacity

    /// How many shares places have.
    private static let places = 1_024

    private var slots: [Slot] = []
    /// How many slots await at the places of each share: where none do, none is looked for.
    private var awaited = [Int32](repeating: 0, count: places)
    private var chains = [Chain](repeating: Chain(), count: capacity)
    /// How many slots with trains await at the places of each share, and before which slot none do.
    private var trains = [(count: Int32, since: Int)](repeating: (0, 0), count: places)
    /// The keys of trains, as a ring.
    private var keys: [UInt64] = []
    private var keptKeys = 0
    /// How many came, and how many of the oldest were forgotten.
    private var added = 0
    private var forgotten = 0

    /// Awaits the packets of a frame at places, any of which may have them.
    ///
    /// - Parameters:
    ///   - packets: What they are known again by.
    ///   - flow: A hash of their flow.
    ///   - number: The number of the first; those of the others follow it.
    ///   - time: Now, in nanoseconds.
    mutating func add(
        _ packets: PacketKeys, at places: [Place], _ flow: UInt64, _ number: UInt64, _ time: UInt64
    ) {
        guard let first = packets.keys.first else { return }
        let start = keptKeys
        if packets.keys.count > 1 { keep(packets.keys) }
        for (index, place) in places.enumerated() {
            add(
                Slot(
                    key: first, flow: flow, number: number, time: time, place: place, serial: added, rank: added,
                    keys: start,
                    train: packets.train, twinsBefore: Int16(index), twinsAfter: Int16(places.count - 1 - index)))
        }
    }

    private mutating func keep(_ new: [UInt64]) {
        for key in new {
            let index = keptKeys & (Self.keyCapacity - 1)
            if index < keys.count { keys[index] = key } else { keys.append(key) }
            keptKeys += 1
        }
    }

    private mutating func add(_ new: Slot) {
        forget(new.time)
        var slot = new
        slot.serial = added
        let index = added & (Self.capacity - 1)
        let chain = Self.chain(slot.key, slot.place)
        // Parts of a train stand among those that look alike where the train stood.
        var previous = chains[chain].last
        while previous >= 0, slots[Int(previous)].rank > slot.rank { previous = slots[Int(previous)].previous }
        slot.previous = previous
        slot.following = previous >= 0 ? slots[Int(previous)].following : chains[chain].first
        if index < slots.count { slots[index] = slot } else { slots.append(slot) }
        if slot.previous >= 0 {
            slots[Int(slot.previous)].following = Int32(index)
        } else {
            chains[chain].first = Int32(index)
        }
        if slot.following >= 0 {
            slots[Int(slot.following)].previous = Int32(index)
        } else {
            chains[chain].last = Int32(index)
        }
        chains[chain].count += 1
        awaited[slot.place.share] += 1
        if slot.train.count > 1 { trains[slot.place.share].count += 1 }
        added += 1
        if chains[chain].count > Self.mostAlike { unlink(Int(chains[chain].first)) }
    }

    /// The first packets of a frame's keys that wait at a place, which wait no more. Those with the same flow go before those whose
    /// addresses were changed there.
    ///
    /// - Parameters:
    ///   - other: Another place that they may wait at.
    ///   - flow: A hash of their flow.
    ///   - time: Now, in nanoseconds.
    mutating func take(
        _ packets: PacketKeys, at place: Place, or other: Place? = nil, _ flow: UInt64, _ time: UInt64
    ) -> Taken {
        let isAwaited = awaited[place.share] > 0 || other.map { awaited[$0.share] > 0 } ?? false
        guard isAwaited, let key = packets.keys.first else { return .each([]) }
        if let best = best(key, at: place, or: other, flow, time), slots[best].train == packets.train {
            return .together(take(best))
        }
        takeApart(place)
        if let other { takeApart(other) }
        return .each(
            packets.keys.map { key in best(key, at: place, or: other, flow, time).map { take($0) } })
    }

    private mutating func take(_ best: Int) -> Found {
        for index in twins(of: best) where !slots[index].isTaken { unlink(index) }
        return Found(number: slots[best].number, time: slots[best].time)
    }

    /// The slots that await the same packets as one of them.
    private func twins(of slot: Int) -> [Int] {
        let (before, after) = (Int(slots[slot].twinsBefore), Int(slots[slot].twinsAfter))
        guard before + after > 0 else { return [slot] }
        return (-before...after).compactMap { distance in
            let index = (slot + distance) & (Self.capacity - 1)
            // The oldest twins may be forgotten already.
            return slots[index].serial == slots[slot].serial + distance ? index : nil
        }
    }

    /// Has each packet of the trains that wait at a place wait for itself.
    private mutating func takeApart(_ place: Place) {
        let share = place.share
        guard trains[share].count > 0 else { return }
        let first = max(forgotten, trains[share].since)
        let end = added
        trains[share].since = end
        for serial in first..<end {
            let index = serial & (Self.capacity - 1)
            // Places that share a number are taken apart together.
            guard slots[index].serial == serial, !slots[index].isTaken, slots[index].train.count > 1,
                slots[index].place.share == share
            else { continue }
            let train = slots[index]
            let twins = twins(of: index).filter { !slots[$0].isTaken }
            let places = twins.map { slots[$0].place }
            for twin in twins { unlink(twin) }
            // Those whose keys were overwritten are known no more.
            guard train.keys + Self.keyCapacity >= keptKeys else { continue }
            for offset in 0..<Int(train.train.count) {
                let key = keys[(train.keys + offset) & (Self.keyCapacity - 1)]
                for (index, place) in places.enumerated() {
                    var part = train
                    part.key = key
                    part.number += UInt64(offset)
                    part.train = PacketTrain(key)
                    part.place = place
                    part.twinsBefore = Int16(index)
                    part.twinsAfter = Int16(places.count - 1 - index)
                    add(part)
                }
            }
        }
    }

    private func best(
        _ key: UInt64, at place: Place, or other: Place?, _ flow: UInt64, _ time: UInt64
    ) -> Int? {
        let best = first(key, at: place, flow, time)
        guard let other, let second = first(key, at: other, flow, time) else { return best }
        guard let best else { return second }
        let (one, two) = (slots[best], slots[second])
        let isBetter = (one.flow == flow) == (two.flow == flow) ? two.rank < one.rank : two.flow == flow
        return isBetter ? second : best
    }

    /// The slot of the first packet of a key at a place: with this flow, else with any.
    private func first(_ key: UInt64, at place: Place, _ flow: UInt64, _ time: UInt64) -> Int? {
        guard awaited[place.share] > 0 else { return nil }
        let least = time - min(time, Self.patience)
        var index = chains[Self.chain(key, place)].first
        var other: Int?
        while index >= 0 {
            let slot = slots[Int(index)]
            if slot.key == key, slot.place == place, slot.time >= least {
                if slot.flow == flow { return Int(index) }
                if other == nil { other = Int(index) }
            }
            index = slot.following
        }
        return other
    }

    private static func chain(_ key: UInt64, _ place: Place) -> Int {
        let mixed = (key ^ place.code) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed >> 32) & (capacity - 1)
    }

    private mutating func unlink(_ index: Int) {
        let chain = Self.chain(slots[index].key, slots[index].place)
        let (previous, following) = (slots[index].previous, slots[index].following)
        if previous >= 0 { slots[Int(previous)].following = following } else { chains[chain].first = following }
        if following >= 0 { slots[Int(following)].previous = previous } else { chains[chain].last = previous }
        chains[chain].count -= 1
        awaited[slots[index].place.share] -= 1
        if slots[index].train.count > 1 { trains[slots[index].place.share].count -= 1 }
        slots[index].isTaken = true
    }

    /// Forgets what waited too long, and the oldest if there is no room for one more.
    private mutating func forget(_ time: UInt64) {
        let least = time - min(time, Self.patience)
        while forgotten < added {
            let index = forgotten & (Self.capacity - 1)
            guard slots[index].isTaken || slots[index].time < least || added - forgotten >= Self.capacity else {
                return
            }
            if !slots[index].isTaken { unlink(index) }
            forgotten += 1
        }
    }
}
