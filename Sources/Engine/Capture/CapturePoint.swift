import Forwarding
import Wire

/// The observers of a worker's frames at one place, and the ring that copies go to.
///
/// A worker has one at the table's interfaces, one at its devices if they carry circuits, and one where packets of underlays are whole if
/// there are tunnels. All write into the worker's ring.
struct CapturePoint: ~Copyable {
    var observers: CaptureObservers
    /// The generation of the worker's table.
    var generation: UInt64
    private var writer: CaptureWriter
    /// Room for the beginning of a TUN's frame behind a `virtio_net_hdr` of zeros; nil at the table's interfaces.
    private let room: UnsafeMutableRawPointer?
    /// True where packets of underlays are.
    private let isOuter: Bool
    /// The most octets that a write has before its body: a status of frame relay.
    private static let mostHeader = 2_048
    /// The octets of `room`, whose first are zero.
    static let roomSize = VirtioNetHeader.length + mostHeader

    private init(
        _ observers: CaptureObservers, _ generation: UInt64, _ writer: consuming CaptureWriter,
        _ room: UnsafeMutableRawPointer?, _ isOuter: Bool
    ) {
        self.observers = observers
        self.generation = generation
        self.writer = writer
        self.room = room
        self.isOuter = isOuter
    }

    /// From now on copies what the order's observers want; nil: nothing.
    ///
    /// - Parameters:
    ///   - worker: The index of this worker's ring in the order's memory.
    ///   - generation: The generation of the worker's table.
    ///   - room: `roomSize` octets of zeros, if frames have the outer headers of their circuits. They outlive the point.
    ///   - isOuter: Frames are packets of underlays with frames of tunnels in them.
    static func set(
        _ point: inout CapturePoint?, _ order: CaptureOrder?, worker: Int, generation: UInt64,
        room: UnsafeMutableRawPointer? = nil, isOuter: Bool = false
    ) {
        guard let order, room == nil || order.observers.want(.ethernet) || order.observers.want(.tun),
            !isOuter || order.observers.want(.underlay)
        else {
            point = nil
            return
        }
        set(
            &point, order.observers, in: order.rings + worker * CaptureRing.size, capacity: CaptureRing.capacity,
            generation: generation, room: room, isOuter: isOuter)
    }

    /// From now on copies what these observers want into a ring.
    static func set(
        _ point: inout CapturePoint?, _ observers: CaptureObservers, in ring: UnsafeMutableRawPointer, capacity: Int,
        generation: UInt64, room: UnsafeMutableRawPointer? = nil, isOuter: Bool = false
    ) {
        if point?.writer.memory == ring {
            point?.observers = observers
            point?.generation = generation
        } else {
            point = CapturePoint(
                observers, generation, CaptureWriter(memory: ring, capacity: capacity), room, isOuter)
        }
    }

    @inline(never)
    mutating func capture(_ batch: borrowing FrameBatch, at time: MonotonicTime) {
        writer.resume()
        for index in 0..<batch.count {
            let frame = batch.frames[index]
            put(
                .received, batch.interface, time, 0,
                CaptureParts(header: frame.start, headerLength: frame.length, body: frame.start, bodyLength: 0))
        }
    }

    /// Frames that were read, and lost before the engine saw them.
    @inline(never)
    mutating func capture(_ frames: UnsafeBufferPointer<LostFrame>, of interface: Int, at time: MonotonicTime) {
        writer.resume()
        for index in 0..<frames.count {
            let lost = frames[index]
            put(
                .received, interface, time, lost.failure,
                CaptureParts(
                    header: lost.frame.start, headerLength: lost.frame.length, body: lost.frame.start, bodyLength: 0))
        }
    }

    /// A received frame that leaves a tunnel.
    @inline(never)
    mutating func capture(_ frame: UnsafeRawBufferPointer, of interface: Int, at time: MonotonicTime) {
        guard let start = frame.baseAddress else { return }
        writer.resume()
        put(
            .received, interface, time, 0,
            CaptureParts(header: start, headerLength: frame.count, body: start, bodyLength: 0))
    }

    /// What was sent of a list for tunnels.
    ///
    /// - Parameters:
    ///   - places: The place of each write in `inner`.
    ///   - inner: The list with the writes of tunnels.
    @inline(never)
    mutating func capture(
        _ list: borrowing WriteList, _ places: UnsafePointer<Int32>, of inner: borrowing WriteList,
        at time: MonotonicTime
    ) {
        writer.resume()
        for index in 0..<list.count {
            let write = list.writes[index]
            guard inner.writes[Int(places[index])].interface != write.interface else { continue }
            put(
                .sent, write.interface, time, write.failure == WriteOutcome.held ? 0 : write.failure,
                CaptureParts(
                    header: write.header, headerLength: write.headerLength, body: write.body,
                    bodyLength: write.bodyLength))
        }
    }

    @inline(never)
    mutating func capture(_ list: borrowing WriteList, at time: MonotonicTime) {
        writer.resume()
        for index in 0..<list.count {
            let write = list.writes[index]
            put(
                .sent, write.interface, time, write.failure == WriteOutcome.held ? 0 : write.failure,
                CaptureParts(
                    header: write.header, headerLength: write.headerLength, body: write.body,
                    bodyLength: write.bodyLength))
        }
    }

    @inline(__always)
    private mutating func put(
        _ direction: CaptureDirection, _ interface: Int, _ time: MonotonicTime, _ failure: Int32, _ parts: CaptureParts
    ) {
        guard let room else {
            return put(direction, interface, time, failure, isOuter ? .underlay : .interfaces, parts)
        }
        put(direction, interface, time, failure, .ethernet, parts)
        guard let parts = Self.tunParts(parts, room) else { return }
        put(direction, interface, time, failure, .tun, parts)
    }

    @inline(__always)
    private mutating func put(
        _ direction: CaptureDirection, _ interface: Int, _ time: MonotonicTime, _ failure: Int32, _ layer: CaptureLayer,
        _ parts: CaptureParts
    ) {
        guard parts.headerLength >= VirtioNetHeader.length else { return }
        let wish = observers.wish(direction, interface: interface, layer, parts)
        guard wish.observers != 0 else { return }
        writer.put(
            direction, interface: interface, time: time, generation: generation, observers: wish.observers,
            failure: failure, parts, most: wish.octets &+ VirtioNetHeader.length, isOuter: isOuter)
    }

    /// A frame of a TUN with zeros in place of its `tun_pi`: nobody knows that in a capture.
    private static func tunParts(_ parts: CaptureParts, _ room: UnsafeMutableRawPointer) -> CaptureParts? {
        guard parts.headerLength >= Circuit.tunLength else { return nil }
        let (start, count) = (parts.header + Circuit.tunLength, parts.headerLength &- Circuit.tunLength)
        guard parts.bodyLength > 0 else {
            return CaptureParts(header: room, headerLength: VirtioNetHeader.length, body: start, bodyLength: count)
        }
        guard count <= mostHeader else { return nil }
        // Only the first octets stay zero.
        (room + VirtioNetHeader.length).copyMemory(from: start, byteCount: count)
        return CaptureParts(
            header: room, headerLength: VirtioNetHeader.length &+ count, body: parts.body, bodyLength: parts.bodyLength)
    }
}
