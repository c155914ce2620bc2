import Wire

/// Frames that wait for a neighbour to answer: a bounded number, in memory that is allocated once.
///
/// Where all places are taken, the sender that has the most gives one up to a sender that has fewer: whoever sends to many
/// neighbours that do not answer costs the others none of their places.
///
/// A frame waits as it was received. When its neighbour answers it is forwarded as if it came then, to that neighbour
/// alone; when the neighbour does not answer, the error quotes what its sender sent.
struct PendingFrames: ~Copyable {
    /// Frames of up to `smallSize` octets.
    static let smallFrames = 128
    static let smallSize = 2_048
    /// Larger frames.
    static let largeFrames = 4
    /// Frames of one sender that may wait for one neighbour, so that one that is away does not cost others their places.
    static let framesPerNeighbour = 16
    static let capacity = smallFrames + largeFrames

    enum State: UInt8 {
        case free
        case waiting
        /// Among the writes that are yet to be sent.
        case leaving
    }

    /// What is to be known of a frame that waits.
    struct Place {
        var receivedInterface = 0
        /// Whose it is.
        var account = Account(place: 0, tag: 0)
        /// The packet's source.
        var source = IPAddress(ipv4: 0)
        /// Which of the worker's frames it is.
        var number: UInt64 = 0
        /// The packets that it stands for.
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

    /// How many wait.
    private(set) var waiting = 0
    private var leaving = 0
    /// The slots of the frames that wait, in the order in which they came: the first `waiting` are in use.
    let order: UnsafeMutablePointer<UInt8>
    /// How many of those that wait each sender has.
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
    /// - Returns: How many packets are lost by it: its own where there is no room for it, those of another sender's frame
    ///   that gave its place up, or none.
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

    /// The place in `order` of the frame that gives its slot up: the oldest of the sender with the most frames, where that
    /// has more than the one that asks.
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

    /// True where frames wait for a neighbour.
    func wait(for address: IPAddress, on interface: Int) -> Bool {
        for place in 0..<waiting {
            let slot = slots + Int(order[place])
            if slot.pointee.place.interface == interface, slot.pointee.place.address == address { return true }
        }
        return false
    }

    /// The frame waits no longer; its memory is kept until `releaseLeaving`.
    ///
    /// - Parameter place: Its place in `order`; those behind it move up.
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

    /// The writes have been sent: what they took from here is free again.
    mutating func releaseLeaving() {
        guard leaving > 0 else { return }
        for index in 0..<Self.capacity where slots[index].state == .leaving { slots[index].state = .free }
        leaving = 0
    }
}
