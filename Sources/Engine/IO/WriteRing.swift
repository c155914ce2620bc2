import CLinux

/// Writes a batch with one system call, by io_uring.
///
/// It is made before the engine is confined, and can only write to the queues that it was made with. Only the thread
/// that enables it uses it. Writes are done in order. Queues do not block, so each write is done before the next one
/// begins.
struct WriteRing: ~Copyable {
    /// The writes in one submission. So few that their entries stay in the first-level cache.
    private static let capacity = 256
    /// A write that the kernel has taken, and whose result is unknown.
    private static let unknown = Int32.min
    /// The ring is given up after so many submissions in a row without progress.
    private static let patience = 1_000

    private var ring: clinux_uring
    /// Whether a write of the last batch was refused because its queue only knows writes that may wait. Such writes
    /// were not done. Later ones may wait.
    private(set) var hasRefusedToHurry = false
    /// Three vectors for each entry.
    private let vectors: UnsafeMutablePointer<iovec>
    /// The long offload header of each entry.
    private let headers: UnsafeMutablePointer<LongHeader>

    /// A ring that writes to these queues, each named by its place among them.
    ///
    /// - Throws: `EngineError` with the errno of the kernel's refusal.
    init(queues: UnsafeMutableBufferPointer<Int32>) throws(EngineError) {
        var ring = clinux_uring()
        let result = clinux_uring_open(&ring, UInt32(Self.capacity), queues.baseAddress, queues.count)
        guard result == 0 else { throw EngineError("make an io_uring", errno: -result) }
        self.ring = ring
        vectors = .allocate(capacity: Self.capacity * 3)
        vectors.initialize(repeating: iovec(), count: Self.capacity * 3)
        headers = .allocate(capacity: Self.capacity)
        headers.initialize(repeating: LongHeader(), count: Self.capacity)
    }

    deinit {
        var ring = ring
        clinux_uring_close(&ring)
        vectors.deallocate()
        headers.deallocate()
    }

    /// Makes the calling thread the ring's user.
    ///
    /// - Returns: 0 or an errno.
    mutating func enable() -> Int32 { -clinux_uring_enable(&ring) }

    /// Sends writes and notes the result of each.
    ///
    /// - Parameters:
    ///   - columns: The number of queues of each interface.
    ///   - column: The queue index that the writes go to.
    ///   - underlays: The interfaces whose devices have the long offload header; nil: none.
    /// - Returns: The number of finished writes, and 0. If the ring has failed: fewer than all, and an errno. The rest
    ///   was not tried.
    mutating func send(
        _ list: borrowing WriteList, queueCount: Int, queueIndex: Int, underlays: InterfaceSet?
    ) -> (done: Int, failure: Int32) {
        var done = 0
        hasRefusedToHurry = false
        while done < list.count {
            let count = min(Self.capacity, list.count &- done)
            prepare(
                list, from: done, count: count, queueCount: queueCount, queueIndex: queueIndex, underlays: underlays)
            clinux_uring_publish(&ring, UInt32(truncatingIfNeeded: count))
            let failure = submit(count, list)
            guard failure == 0 else {
                let taken = count &- Int(clinux_uring_waiting(&ring))
                for index in done..<done &+ taken where list.writes[index].failure == Self.unknown {
                    // It may have been written, so it is not tried again.
                    list.writes[index].failure = ECANCELED
                }
                return (done &+ taken, failure)
            }
            done &+= count
        }
        return (done, 0)
    }

    @inline(__always)
    private mutating func prepare(
        _ list: borrowing WriteList, from first: Int, count: Int, queueCount: Int, queueIndex: Int,
        underlays: InterfaceSet?
    ) {
        for place in 0..<count {
            let write = list.writes + (first &+ place)
            write.pointee.failure = Self.unknown
            let queue = UInt32(truncatingIfNeeded: write.pointee.interface &* queueCount &+ queueIndex)
            let tag = UInt64(truncatingIfNeeded: first &+ place)
            let number = UInt32(truncatingIfNeeded: place)
            if let underlays, underlays.contains(write.pointee.interface) {
                let vector = vectors + place &* 3
                let parts = LongHeader.place(write, in: vector, header: UnsafeMutableRawPointer(headers + place))
                clinux_uring_prepare(&ring, number, queue, vector, UInt32(truncatingIfNeeded: parts), 1, tag)
            } else if write.pointee.bodyLength == 0 {
                clinux_uring_prepare(
                    &ring, number, queue, write.pointee.header, UInt32(truncatingIfNeeded: write.pointee.headerLength),
                    0, tag)
            } else {
                let vector = vectors + place &* 3
                vector[0] = iovec(iov_base: write.pointee.header, iov_len: write.pointee.headerLength)
                vector[1] = iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: write.pointee.body), iov_len: write.pointee.bodyLength)
                clinux_uring_prepare(&ring, number, queue, vector, 2, 1, tag)
            }
        }
    }

    private mutating func letWait() {
        clinux_uring_let_wait(&ring)
        hasRefusedToHurry = true
    }

    /// Submits the published entries and waits for all of them.
    ///
    /// - Returns: 0 or an errno.
    private mutating func submit(_ count: Int, _ list: borrowing WriteList) -> Int32 {
        var missing = count
        var fruitless = 0
        while true {
            let result = clinux_uring_submit(&ring, UInt32(truncatingIfNeeded: missing))
            let before = missing
            while let completion = clinux_uring_next(&ring) {
                let tag = Int(truncatingIfNeeded: completion.pointee.tag)
                let outcome = completion.pointee.result
                list.writes[tag].failure = outcome < 0 ? 0 &- outcome : 0
                if outcome == -EOPNOTSUPP { letWait() }
                clinux_uring_release(&ring)
                missing &-= 1
            }
            if missing == 0 { return 0 }
            switch 0 &- result {
            case 0, EINTR, EAGAIN, EBUSY:
                // The kernel was out of memory for a moment, or interrupted.
                fruitless = missing < before ? 0 : fruitless &+ 1
                if fruitless > Self.patience { return result == 0 ? ETIME : 0 &- result }
            default:
                return 0 &- result
            }
        }
    }
}
