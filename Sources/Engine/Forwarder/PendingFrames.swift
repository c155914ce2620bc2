import Wire

/// Frames that wait for a neighbour to answer: a bounded number, in memory that is allocated once.
///
/// A frame waits as it was received. When its neighbour answers it is forwarded as if it came then, to that neighbour
/// alone; when the neighbour does not answer, the error quotes what its sender sent.
struct PendingFrames: ~Copyable {
    /// Frames of up to `smallSize` octets.
    static let smallFrames = 128
    static let smallSize = 2_048
    /// Larger frames.
    static let largeFrames = 4
    /// Frames that may wait for one neighbour, so that one that is away does not cost the others their places.
    static let framesPerNeighbour = 16
    static let capacity = smallFrames + largeFrames

    enum State: UInt8 {
        case free
        case waiting
        /// Among the writes that are yet to be sent.
        case leaving
    }

    struct Slot {
        var state = State.free
        var receivedInterface = 0
        var length = 0
        /// Which of the worker's frames it is.
        var number: UInt64 = 0
        /// The neighbour: its interface and address.
        var interface = 0
        var address = IPAddress(ipv4: 0)
    }

    /// How many wait.
    private(set) var waiting = 0
    private var leaving = 0
    /// The slots of the frames that wait, in the order in which they came: the first `waiting` are in use.
    let order: UnsafeMutablePointer<UInt8>
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

    /// Keeps a copy of a frame, once for each neighbour; false where there is no room for it.
    ///
    /// - Parameter number: Which of the worker's frames it is.
    mutating func keep(
        _ frame: ReceivedFrame, _ number: UInt64, from receivedInterface: Int, for address: IPAddress, on interface: Int
    ) -> Bool {
        let small = frame.length <= Self.smallSize
        var free: Int?
        var same = 0
        for index in 0..<Self.capacity {
            if slots[index].state == .free {
                if free == nil, small == (index < Self.smallFrames) { free = index }
            } else if slots[index].interface == interface, slots[index].address == address {
                if slots[index].number == number, slots[index].state == .waiting { return true }
                same &+= 1
            }
        }
        guard let free, same < Self.framesPerNeighbour, frame.length <= frameSlotSize else { return false }
        slots[free] = Slot(
            state: .waiting, receivedInterface: receivedInterface, length: frame.length, number: number,
            interface: interface, address: address)
        self.frame(free).start.copyMemory(from: frame.start, byteCount: frame.length)
        order[waiting] = UInt8(truncatingIfNeeded: free)
        waiting &+= 1
        return true
    }

    /// True where frames wait for a neighbour.
    func wait(for address: IPAddress, on interface: Int) -> Bool {
        for place in 0..<waiting {
            let slot = slots + Int(order[place])
            if slot.pointee.interface == interface, slot.pointee.address == address { return true }
        }
        return false
    }

    /// The frame waits no longer; its memory is kept until `releaseLeaving`.
    ///
    /// - Parameter place: Its place in `order`; those behind it move up.
    mutating func leave(_ place: Int) {
        slots[Int(order[place])].state = .leaving
        waiting &-= 1
        for later in place..<waiting { order[later] = order[later &+ 1] }
        leaving &+= 1
    }

    /// The writes have been sent: what they took from here is free again.
    mutating func releaseLeaving() {
        guard leaving > 0 else { return }
        for index in 0..<Self.capacity where slots[index].state == .leaving { slots[index].state = .free }
        leaving = 0
    }
}
