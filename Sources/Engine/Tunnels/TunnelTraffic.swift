import Forwarding
import Wire

/// The tunnels of one worker, and the memory for their frames, which is as large from the beginning as it ever gets.
struct TunnelTraffic: ~Copyable {
    var table: Snapshot?
    var counters: CounterBlock?
    /// The tunnel of the frame before, and its place in the table.
    var record: TunnelRecord?
    var place = -1
    /// Copies packets of underlays as they are on the wire; nil while nobody wants them.
    var wire: CapturePoint?
    /// The time of the batch.
    private var time = MonotonicTime(nanoseconds: 0)
    /// The tunnels of the batch's interface.
    private var range = 0..<0
    /// The frames of the batch that came out of tunnels, and the interface of each; -1 behind the last `next`.
    private let frames: UnsafeMutablePointer<ReceivedFrame>
    private let owners: UnsafeMutablePointer<Int32>
    private var kept = 0
    /// The first of `frames` that `next` has not given out.
    private var first = 0
    private let lost: UnsafeMutablePointer<LostFrame>
    private var losses = 0
    /// The base's losses may be as many as a batch, and so may the tunnels'.
    private static let mostLosses = 2 * FrameBatch.capacity
    /// What is sent.
    var writes = WriteList()
    /// The place of each write of `writes` in the list that it is from.
    let places: UnsafeMutablePointer<Int32>

    init() {
        frames = .allocate(capacity: FrameBatch.capacity)
        owners = .allocate(capacity: FrameBatch.capacity)
        lost = .allocate(capacity: Self.mostLosses)
        places = .allocate(capacity: WriteList.capacity)
    }

    deinit {
        frames.deallocate()
        owners.deallocate()
        lost.deallocate()
        places.deallocate()
    }

    mutating func take(_ table: Snapshot, _ counters: CounterBlock) {
        self.table = table
        self.counters = counters
        (record, place) = (nil, -1)
    }

    var lostFrames: UnsafeBufferPointer<LostFrame> { UnsafeBufferPointer(start: lost, count: losses) }

    // MARK: - Receipt

    /// Leaves the frames in the batch that are for no tunnel, and keeps back those that come out of tunnels.
    ///
    /// - Parameter others: What the base has lost.
    mutating func sort(
        _ batch: inout FrameBatch, besides others: UnsafeBufferPointer<LostFrame>, at now: MonotonicTime
    ) {
        (kept, first, losses) = (0, 0, 0)
        for other in others.prefix(FrameBatch.capacity) {
            (lost + losses).initialize(to: other)
            losses &+= 1
        }
        guard batch.count > 0, let table else { return }
        range = table.tunnels(on: batch.interface)
        time = now
        guard !range.isEmpty else { return }
        var plain = 0
        for index in 0..<batch.count {
            let frame = batch.frames[index]
            switch open(frame, table) {
            case .plain:
                batch.frames[plain] = frame
                plain &+= 1
            case .opened(let opened):
                frames[kept] = opened
                owners[kept] = Int32(truncatingIfNeeded: record?.interface ?? 0)
                kept &+= 1
            case .lost(let reason): lose(frame, reason, batch.interface, now)
            }
        }
        batch.count = plain
    }

    /// The frames of one more tunnel.
    ///
    /// - Returns: False if there is none.
    @inline(__always)
    mutating func next(_ batch: inout FrameBatch) -> Bool {
        guard first < kept else { return false }
        give(&batch)
        return true
    }

    private mutating func give(_ batch: inout FrameBatch) {
        let owner = owners[first]
        losses = 0
        batch.interface = Int(owner)
        batch.truncated = 0
        batch.closed = false
        var count = 0
        for index in first..<kept where owners[index] == owner {
            batch.frames[count] = frames[index]
            owners[index] = -1
            count &+= 1
        }
        batch.count = count
        while first < kept, owners[first] < 0 { first &+= 1 }
    }

    private enum Outcome {
        case plain
        case opened(ReceivedFrame)
        case lost(DropReason)
    }

    @inline(__always)
    private mutating func open(_ frame: ReceivedFrame, _ table: Snapshot) -> Outcome {
        let start = frame.start + VirtioNetHeader.length
        let count = frame.length &- VirtioNetHeader.length
        guard count >= EthernetView.length else { return .plain }
        let octets = UnsafeRawBufferPointer(start: start, count: count)
        if octets.bytes.load(EthernetHeader.type, at: 0) == NSHHeader.etherType {
            return open(octets, EthernetView.length..<count, nil, table)
        }
        guard let outer = OuterTransport(octets.bytes) else { return relay(octets, table) }
        let known = table.firstTunnel(from: Tunnel.key(port: outer.port, 0), in: range)
        // A fragment has no port: it is a tunnel's if it is for the end of one.
        if outer.fault == .fragment { return isLocal(outer.destination, table) ? .lost(.tunnelFragment) : .plain }
        guard known < range.upperBound, table.tunnelKey(at: known) >> 32 == UInt64(outer.port),
            isLocal(outer.destination, table)
        else { return .plain }
        // The kernel sends none through a device without offloads. Their offsets would not be the inner frame's.
        guard frame.start.load(fromByteOffset: VirtioNetHeader.gsoType.offset, as: UInt8.self) == 0,
            frame.start.load(as: UInt8.self) & VirtioNetHeader.needsChecksum == 0
        else { return .lost(.badOffloadHeader) }
        if let fault = outer.fault { return .lost(DropReason(fault)) }
        guard outer.hasRightChecksum(octets.bytes) else { return .lost(.badTunnelChecksum) }
        return open(octets, outer.payload, outer, table)
    }

    /// Takes a frame out of what a datagram carries; without one, out of an Ethernet frame.
    @inline(__always)
    private mutating func open(
        _ octets: UnsafeRawBufferPointer, _ payload: Range<Int>, _ outer: OuterTransport?, _ table: Snapshot
    ) -> Outcome {
        let port = outer?.port ?? 0
        let known = table.firstTunnel(from: Tunnel.key(port: port, 0), in: range)
        guard known < range.upperBound, table.tunnelKey(at: known) >> 32 == UInt64(port) else { return .plain }
        if !(range.contains(place) && record?.tunnel.port == port) { take(known, table) }
        guard let kind = record?.tunnel.kind else { return .lost(.unknownTunnel) }
        switch Tunnel.content(octets.bytes, payload, kind) {
        case .fault(let fault): return .lost(DropReason(fault))
        case .frame(let inner, let identifier, let step):
            if let reason = choose(Tunnel.key(port: port, identifier), outer, table) { return .lost(reason) }
            guard let tunnel = record?.tunnel, let start = octets.baseAddress else { return .lost(.unknownTunnel) }
            guard tunnel.isFollowed(by: step) else { return .lost(.wrongServicePath) }
            let addresses = EthernetAddresses(of: start)
            guard addresses.destination == tunnel.engine else { return .lost(.notForUs) }
            if outer == nil, addresses.source != tunnel.nextHop { return .lost(.wrongTunnelPeer) }
            let frame = UnsafeMutableRawPointer(mutating: start) + inner.lowerBound
            if isNested(UnsafeRawBufferPointer(start: frame, count: inner.count), table) {
                return .lost(.nestedTunnel)
            }
            var bytes = UnsafeMutableRawBufferPointer(start: frame, count: inner.count).mutableBytes
            if wire != nil, !CongestionMark.isLoss(bytes.bytes, outer: outer?.congestion ?? 0) { capture(octets) }
            guard CongestionMark.leave(&bytes, outer: outer?.congestion ?? 0) else { return .lost(.tunnelCongestion) }
            if tunnel.takesHop { Tunnel.takeHop(&bytes) }
            return .opened(Self.framed(frame, inner.count))
        }
    }

    /// Turns a router's word that a tunnel's packet is too big into one about the packet inside; all other frames are plain.
    private mutating func relay(_ octets: UnsafeRawBufferPointer, _ table: Snapshot) -> Outcome {
        guard let error = TunnelPathError(octets.bytes), isLocal(error.local, table) else { return .plain }
        let known = table.firstTunnel(from: Tunnel.key(port: error.port, 0), in: range)
        guard known < range.upperBound, table.tunnelKey(at: known) >> 32 == UInt64(error.port) else { return .plain }
        let kind = table.tunnel(at: known).tunnel.kind
        guard case .frame(let inner, let identifier, _) = Tunnel.content(octets.bytes, error.payload, kind) else {
            return .plain
        }
        let key = Tunnel.key(port: error.port, identifier)
        var found = table.firstTunnel(from: key, in: range)
        while found < range.upperBound, table.tunnelKey(at: found) == key {
            take(found, table)
            if let tunnel = record?.tunnel, tunnel.takes(error.peer, error.local) {
                if wire != nil { capture(octets) }
                var bytes = UnsafeMutableRawBufferPointer(mutating: octets).mutableBytes
                guard let place = error.relay(&bytes, inner: inner, overhead: tunnel.overhead),
                    let start = octets.baseAddress
                else { return .plain }
                return .opened(Self.framed(UnsafeMutableRawPointer(mutating: start) + place.lowerBound, place.count))
            }
            found &+= 1
        }
        return .plain
    }

    /// Copies a frame that leaves a tunnel as it is on the wire, for those who want it.
    @inline(never)
    private mutating func capture(_ octets: UnsafeRawBufferPointer) {
        guard let start = octets.baseAddress, let carrier = record?.carrier else { return }
        let whole = UnsafeRawBufferPointer(
            start: start - VirtioNetHeader.length, count: octets.count &+ VirtioNetHeader.length)
        wire?.capture(whole, of: carrier, at: time)
    }

    /// Makes the tunnel with a key, from the far end that sent the packet, the present one.
    ///
    /// - Returns: Why there is none; nil if there is.
    @inline(__always)
    private mutating func choose(_ key: UInt64, _ outer: OuterTransport?, _ table: Snapshot) -> DropReason? {
        if range.contains(place), let tunnel = record?.tunnel, tunnel.key == key, Self.takes(tunnel, outer) {
            return nil
        }
        var found = table.firstTunnel(from: key, in: range)
        guard found < range.upperBound, table.tunnelKey(at: found) == key else { return .unknownTunnel }
        while found < range.upperBound, table.tunnelKey(at: found) == key {
            take(found, table)
            if let tunnel = record?.tunnel, Self.takes(tunnel, outer) { return nil }
            found &+= 1
        }
        return .wrongTunnelPeer
    }

    @inline(__always)
    private static func takes(_ tunnel: Tunnel, _ outer: OuterTransport?) -> Bool {
        outer.map { tunnel.takes($0.source, $0.destination) } ?? true
    }

    /// True if an address is the engine's end of tunnels of the batch's interface.
    @inline(__always)
    private mutating func isLocal(_ address: IPAddress, _ table: Snapshot) -> Bool {
        if range.contains(place), record?.tunnel.local == address { return true }
        return findLocal(address, table)
    }

    private mutating func findLocal(_ address: IPAddress, _ table: Snapshot) -> Bool {
        for candidate in range where table.tunnel(at: candidate).tunnel.local == address { return true }
        return false
    }

    /// True if a frame that comes out of a tunnel would go into another one of the underlay.
    @inline(__always)
    private mutating func isNested(_ frame: UnsafeRawBufferPointer, _ table: Snapshot) -> Bool {
        guard let inner = OuterTransport(frame.bytes), inner.fault != .fragment else { return false }
        let known = table.firstTunnel(from: Tunnel.key(port: inner.port, 0), in: range)
        return known < range.upperBound && table.tunnelKey(at: known) >> 32 == UInt64(inner.port)
            && isLocal(inner.destination, table)
    }

    /// Reads the tunnel at a place.
    mutating func take(_ place: Int, _ table: Snapshot) {
        record = table.tunnel(at: place)
        self.place = place
    }

    /// A received frame at `start`, with an offload header before it.
    @inline(__always)
    private static func framed(_ start: UnsafeMutableRawPointer, _ count: Int) -> ReceivedFrame {
        let header = start - VirtioNetHeader.length
        header.storeBytes(of: 0, as: UInt64.self)
        header.storeBytes(of: 0, toByteOffset: 8, as: UInt16.self)
        return ReceivedFrame(start: header, length: count &+ VirtioNetHeader.length)
    }

    @inline(never)
    private mutating func lose(
        _ frame: ReceivedFrame, _ reason: DropReason, _ interface: Int, _ now: MonotonicTime
    ) {
        if losses < Self.mostLosses {
            (lost + losses).initialize(to: LostFrame(frame: frame, failure: WriteOutcome.dropped(reason)))
            losses &+= 1
        }
        guard let counters else { return }
        counters.countReceived(interface, packets: 1, bytes: max(0, frame.length &- VirtioNetHeader.length))
        counters.countDrop(reason)
        counters.countReceiveDrop(interface)
        guard counters.isUnnoted(reason, at: now.nanoseconds), frame.length >= CircuitTraffic.headroom else { return }
        let octets = UnsafeRawBufferPointer(
            start: frame.start + VirtioNetHeader.length, count: frame.length &- VirtioNetHeader.length)
        let outer = OuterTransport(octets.bytes)
        counters.note(
            DroppedFrame(
                interface: interface, sourceMAC: EthernetAddresses(of: frame.start + VirtioNetHeader.length).source,
                source: outer?.source, destination: outer?.destination, time: now),
            for: reason)
    }
}
