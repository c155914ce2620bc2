import Wire

/// The packets that are awaited somewhere, by what no chain rewrites (`TracedPacket.likeness`).
///
/// It is a ring in the order in which they came. Those that look alike and wait at the same place are a chain in the same order.
/// Neither asks for memory once the ring has grown to its size.
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

    private struct Slot {
        var key: UInt64
        var flow: FlowFields
        var number: UInt64
        var time: UInt64
        var place: Place
        /// How many of the slots before it, and after it, await the same packet at other places.
        var twinsBefore: Int32
        var twinsAfter: Int32
        /// How many came before it.
        var serial: Int
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
    /// The most packets that are awaited: a power of two.
    private static let capacity = 65_536
    /// The most of those that look alike.
    private static let mostAlike = 256

    /// How many shares places have.
    private static let places = 1_024

    private var slots: [Slot] = []
    /// How many packets await at the places of each share: where none do, none is looked for.
    private var awaited = [Int32](repeating: 0, count: places)
    private var chains = [Chain](repeating: Chain(), count: capacity)
    /// How many came, and how many of the oldest were forgotten.
    private var added = 0
    private var forgotten = 0

    /// Awaits a packet at places, any of which may have it.
    ///
    /// - Parameter time: Now, in nanoseconds.
    mutating func add(_ key: UInt64, at places: [Place], _ flow: FlowFields, _ number: UInt64, _ time: UInt64) {
        for (index, place) in places.enumerated() {
            add(key, at: place, twins: (index, places.count - 1 - index), flow, number, time)
        }
    }

    /// Awaits a packet at a place, or at one of several.
    mutating func add(
        _ key: UInt64, at place: Place, twins: (before: Int, after: Int) = (0, 0), _ flow: FlowFields, _ number: UInt64,
        _ time: UInt64
    ) {
        forget(time)
        let index = added & (Self.capacity - 1)
        let chain = Self.chain(key, place)
        var slot = Slot(
            key: key, flow: flow, number: number, time: time, place: place, twinsBefore: Int32(twins.before),
            twinsAfter: Int32(twins.after), serial: added)
        slot.previous = chains[chain].last
        if index < slots.count { slots[index] = slot } else { slots.append(slot) }
        if slot.previous >= 0 {
            slots[Int(slot.previous)].following = Int32(index)
        } else {
            chains[chain].first = Int32(index)
        }
        chains[chain].last = Int32(index)
        chains[chain].count += 1
        awaited[place.share] += 1
        added += 1
        if chains[chain].count > Self.mostAlike { unlink(Int(chains[chain].first)) }
    }

    /// The first packet of a key that waits at a place, which waits no more. One with the same flow goes before those whose
    /// addresses were changed there.
    ///
    /// - Parameters:
    ///   - other: Another place that it may wait at.
    ///   - time: Now, in nanoseconds.
    mutating func take(
        _ key: UInt64, at place: Place, or other: Place? = nil, _ flow: FlowFields, _ time: UInt64
    ) -> Found? {
        var best = first(key, at: place, flow, time)
        if let other, let second = first(key, at: other, flow, time) {
            let isBetter = best.map { best in
                let (one, two) = (slots[best], slots[second])
                return (one.flow == flow) == (two.flow == flow) ? two.serial < one.serial : two.flow == flow
            }
            if isBetter ?? true { best = second }
        }
        guard let best else { return nil }
        let (before, after) = (Int(slots[best].twinsBefore), Int(slots[best].twinsAfter))
        for distance in -before...after {
            let index = (best + distance) & (Self.capacity - 1)
            // The oldest twins may be forgotten already.
            if slots[index].serial == slots[best].serial + distance, !slots[index].isTaken { unlink(index) }
        }
        return Found(number: slots[best].number, time: slots[best].time)
    }

    /// The slot of the first packet of a key at a place: with this flow, else with any.
    private func first(_ key: UInt64, at place: Place, _ flow: FlowFields, _ time: UInt64) -> Int? {
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
