/// Frames that wait, by the times at which they are due: a binary heap in memory that never grows. Frames that are due at the
/// same time come out in the order in which they went in.
public struct DelayLine: ~Copyable {
    /// A frame that waits.
    public struct Frame {
        /// When it is due, in nanoseconds.
        public var due: UInt64
        /// Where it is (`FrameStore.keep`).
        public var piece: Int32
        /// Its octets.
        public var length: Int32
        /// Its interface.
        public var interface: UInt16
        /// The queue index that it came in by.
        public var queueIndex: UInt16
        /// How many packets it is.
        public var packets: UInt16
        /// The rule that delays it.
        public var rule: UInt16

        /// Memberwise.
        public init(
            due: UInt64, piece: Int32, length: Int, interface: Int, queueIndex: Int, packets: Int, rule: Int
        ) {
            self.due = due
            self.piece = piece
            self.length = Int32(truncatingIfNeeded: length)
            self.interface = UInt16(truncatingIfNeeded: interface)
            self.queueIndex = UInt16(truncatingIfNeeded: queueIndex)
            self.packets = UInt16(truncatingIfNeeded: packets)
            self.rule = UInt16(truncatingIfNeeded: rule)
        }
    }

    private struct Element {
        var frame: Frame
        var number: UInt64

        @inline(__always)
        func isBefore(_ other: Element) -> Bool {
            frame.due != other.frame.due ? frame.due < other.frame.due : number < other.number
        }
    }

    private let elements: UnsafeMutablePointer<Element>
    private let capacity: Int
    private var numbered: UInt64 = 0
    /// How many frames wait.
    public private(set) var count = 0

    /// - Parameter capacity: The most frames that ever wait.
    public init(capacity: Int) {
        self.capacity = capacity
        elements = .allocate(capacity: max(1, capacity))
    }

    deinit { elements.deallocate() }

    /// True if one more frame may wait.
    public var hasRoom: Bool { count < capacity }

    /// The frame that is due first, which is there.
    public var first: Frame { elements.pointee.frame }

    /// When the first frame is due; nil: none waits.
    public var nextDue: UInt64? { count > 0 ? elements.pointee.frame.due : nil }

    /// Adds a frame; there is room for it.
    public mutating func add(_ frame: Frame) {
        precondition(count < capacity)
        let element = Element(frame: frame, number: numbered)
        numbered &+= 1
        var hole = count
        count &+= 1
        while hole > 0 {
            let parent = (hole &- 1) / 2
            guard element.isBefore(elements[parent]) else { break }
            (elements + hole).initialize(to: elements[parent])
            hole = parent
        }
        (elements + hole).initialize(to: element)
    }

    /// Removes the frame that is due first, which is there.
    public mutating func removeFirst() -> Frame {
        let first = elements.pointee.frame
        count &-= 1
        guard count > 0 else { return first }
        let element = elements[count]
        var hole = 0
        while true {
            var child = 2 &* hole &+ 1
            guard child < count else { break }
            if child &+ 1 < count, elements[child &+ 1].isBefore(elements[child]) { child &+= 1 }
            guard elements[child].isBefore(element) else { break }
            elements[hole] = elements[child]
            hole = child
        }
        elements[hole] = element
        return first
    }
}
