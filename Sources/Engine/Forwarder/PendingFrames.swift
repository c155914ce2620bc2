import Wire

/// Frames that wait for a neighbour's answer: a bounded number. Its memory is allocated once.
///
/// If all places are taken, the sender with the most gives one up to a sender with fewer. So a sender to many silent
/// neighbours costs the others no place.
///
/// A frame waits as it was received. When its neighbour answers, it is forwarded to that neighbour alone, as if it came
/// then. If the neighbour does not answer, the error quotes the frame as its sender sent it.
struct PendingFrames: ~Copyable {
    /// The number of frames of up to `smallSize` octets.
    static let smallFrames = 128
    static let smallSize = 2_048
    /// The number of larger frames.
    static let largeFrames = 4
    /// The largest number of frames of one sender that wait for one neighbour. So one missing neighbour does not cost
    /// others their places.
    static let framesPerNeighbour = 16
    static let capacity = smallFrames + largeFrames

    enum State: UInt8 {
        case free
        case waiting
        /// It is among the writes that are not sent yet.
        case leaving
    }

    /// The properties of a waiting frame.
    struct Place {
        var receivedInterface = 0
        /// The sender's account.
        var account = Account(place: 0, tag: 0)
        /// The packet's source.
        var source = IPAddress(ipv4: 0)
        /// The number of the frame among the worker's frames.
        var number: UInt64 = 0
        /// The number of its packets.
        var packets = 0
        /// The neighbour: its interface and address.
        var interface = 0
        var address = IPAddress(ipv4: 0)
    }

    struct Slot {
        var state = State.free
        var length = 0
        var place = Place()
    }

    /// The number of waiting frames.
    private(set) var waiting = 0
    private var leaving = 0
    /// The slots of the waiting frames, in the order of arrival. The first `waiting` are in use.
    let order: UnsafeMutablePointer<UInt8>
    /// The number of waiting frames of each sender.
    private let holdings = Holdings()
    let slots: UnsafeMutablePointer<Slot>
    private let memory: UnsafeMutableRawPointer

    init() {
        slots = .allocate(capacity: Self.capacity)
        slots.initialize(repeating: Slot(), count: Self.capacity)
        order = .allocate(capacity: Self.capacity)
        order.initialize(repeating: 0, count: Self.capacity)
        memory = .allocate(
            byteCount: Self.smallFrames * Self.smallSize + Self.largeFrames * frameSlotSize, alignment: 64)
    }

    deinit {
        slots.deallocate()
        order.deallocate()
        memory.deallocate()
    }

    /// The frame in a slot.
    func frame(_ index: Int) -> ReceivedFrame {
        let offset =
            index < Self.smallFrames
            ? index * Self.smallSize
            : Self.smallFrames * Self.smallSize + (index - Self.smallFrames) * frameSlotSize
        return ReceivedFrame(start: memory + offset, length: slots[index].length)
    }

    /// Keeps a copy of a frame, once for each neighbour.
    ///
    /// - Returns: How many packets are lost: its own if there is no room, those of the frame of another sender that
    ///   gave up its place, or none.
    mutating func keep(_ frame: ReceivedFrame, _ kept: Place) -> Int {
        guard frame.length <= frameSlotSize else { return kept.packets }
        let places = frame.length <= Self.smallSize ? 0..<Self.smallFrames : Self.smallFrames..<Self.capacity
        var free: Int?
        var same = 0
        for index in 0..<Self.capacity {
            let slot = slots + index
            if slot.pointee.state == .free {
                if free == nil, places.contains(index) { free = index }
            } else if slot.pointee.place.interface == kept.interface, slot.pointee.place.address == kept.address,
                slot.pointee.place.account == kept.account
            {
                if slot.pointee.place.number == kept.number, slot.pointee.state == .waiting { return 0 }
                same &+= 1
            }
        }
        guard same < Self.framesPerNeighbour else { return kept.packets }
        var lost = 0
        if free == nil, let victim = victim(in: places, for: kept.account) {
            lost = slots[Int(order[victim])].place.packets
            free = Int(order[victim])
            remove(victim)
        }
        guard let free else { return kept.packets }
        slots[free] = Slot(state: .waiting, length: frame.length, place: kept)
        self.frame(free).start.copyMemory(from: frame.start, byteCount: frame.length)
        order[waiting] = UInt8(truncatingIfNeeded: free)
        waiting &+= 1
        holdings.add(kept.account)
        return lost
    }

    /// The place in `order` of the frame that gives its slot up: the oldest of the sender with the most frames. nil if
    /// that sender has no more than the asking one.
    private func victim(in places: Range<Int>, for account: Account) -> Int? {
        var found: Int?
        var most = holdings[account]
        for place in 0..<waiting {
            let index = Int(order[place])
            let count = holdings[slots[index].place.account]
            guard places.contains(index), count > most else { continue }
            (found, most) = (place, count)
        }
        return found
    }

    /// True if frames wait for a neighbour.
    func wait(for address: IPAddress, on interface: Int) -> Bool {
        for place in 0..<waiting {
            let slot = slots + Int(order[place])
            if slot.pointee.place.interface == interface, slot.pointee.place.address == address { return true }
        }
        return false
    }

    /// The frame waits no longer. Its memory stays valid until `releaseLeaving`.
    ///
    /// - Parameters:
    ///   - place: Its place in `order`. The frames behind it move up.
    mutating func leave(_ place: Int) {
        slots[Int(order[place])].state = .leaving
        remove(place)
        leaving &+= 1
    }

    private mutating func remove(_ place: Int) {
        holdings.remove(slots[Int(order[place])].place.account)
        waiting &-= 1
        for later in place..<waiting { order[later] = order[later &+ 1] }
    }

    /// The writes have been sent, so the memory that they used here is free again.
    mutating func releaseLeaving() {
        guard leaving > 0 else { return }
        for index in 0..<Self.capacity where slots[index].state == .leaving { slots[index].state = .free }
        leaving = 0
    }
}
