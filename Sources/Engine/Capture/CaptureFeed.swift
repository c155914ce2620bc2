import Wire

/// The frames of one capture from all rings, in the order of their times. One thread at a time uses it.
public final class CaptureFeed {
    private let readers: UnsafeMutableBufferPointer<CaptureReader>
    private let number: Int
    private var waiting: [CapturedFrame] = []
    /// How many frames of each ring were given.
    private var given: [UInt64]
    private var givenUp: UInt64 = 0
    /// The most that the last call of `frames` took out of one ring, as a share of the ring; 1 where it left frames there.
    public private(set) var fullness = 0.0
    /// The most frames that are taken out of one ring at once.
    private static let mostAtOnce = 4_096

    /// The frames that come from now on.
    ///
    /// - Parameters:
    ///   - rings: The memory of `count` rings; it must outlive this object.
    ///   - number: The number of the capture's observer.
    /// - Returns: nil if the memory is too small.
    public init?(rings: UnsafeRawBufferPointer, count: Int, number: Int) {
        guard count > 0, (0..<CaptureObserver.most).contains(number), rings.count >= count * CaptureRing.size,
            let base = rings.baseAddress
        else { return nil }
        readers = .allocate(capacity: count)
        for worker in 0..<count {
            readers.initializeElement(
                at: worker, to: CaptureReader(memory: base + worker * CaptureRing.size, worker: worker))
        }
        self.number = number
        given = [UInt64](repeating: 0, count: count)
    }

    deinit {
        readers.deinitialize()
        readers.deallocate()
    }

    /// Frames that were overwritten before they were read, or given up. Frames that only other captures wanted are among them.
    public var lost: UInt64 {
        var sum = givenUp
        for index in readers.indices { sum &+= readers[index].lost }
        return sum
    }

    /// How often a ring said something that cannot be.
    public var faults: UInt64 {
        var sum: UInt64 = 0
        for index in readers.indices { sum &+= readers[index].faults }
        return sum
    }

    /// Goes on with the frames that come from now on. Those that were not told are counted as lost.
    public func giveUp() {
        for index in readers.indices { readers[index].giveUp() }
        givenUp &+= UInt64(waiting.count)
        waiting.removeAll(keepingCapacity: true)
    }

    /// The frames that can be told in order: those of before `time`, oldest first. Frames of a later time wait, because
    /// another worker may still write older ones.
    ///
    /// - Parameter time: Now, less the time that a worker may take from reading its clock to writing the record.
    /// - Returns: Some of them; empty if there are none now. Their numbers count this capture's frames of a ring and the lost ones.
    public func frames(before time: MonotonicTime) -> [CapturedFrame] {
        let bit = UInt32(1) << UInt32(number)
        var isSorted = true
        var most: UInt64 = 0
        var isBehind = false
        for index in readers.indices {
            var taken = 0
            let before = readers[index].position
            while taken < Self.mostAtOnce, var frame = readers[index].next() {
                taken += 1
                guard frame.observers & bit != 0 else { continue }
                // What only others wanted is no gap.
                frame.sequence = given[index] &+ readers[index].lost
                given[index] &+= 1
                if let last = waiting.last, frame.time < last.time { isSorted = false }
                waiting.append(frame)
            }
            if taken == Self.mostAtOnce { isBehind = true }
            // A ring that is not believed may set the reader back.
            most = max(most, readers[index].position - min(before, readers[index].position))
        }
        fullness = isBehind ? 1 : min(1, Double(most) / Double(CaptureRing.capacity))
        // Frames of the same time stay in their ring's order.
        if !isSorted { waiting.sort { ($0.time, $0.worker, $0.sequence) < ($1.time, $1.worker, $1.sequence) } }
        let end = waiting.firstIndex { $0.time >= time } ?? waiting.count
        defer { waiting.removeFirst(end) }
        return Array(waiting[..<end])
    }
}
