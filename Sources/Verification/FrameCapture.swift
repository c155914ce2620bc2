import EventLoop
import Forwarding
import Glibc
import LinuxNetwork
import PacketCapture
import Plan
import Reporting
import Synchronization
import Wire

/// Captures the frames of a node's device into a file that Wireshark reads (pcapng, times in nanoseconds), and keeps the
/// file for later steps.
///
/// Frames are as the node's kernel has them: a segment that the device would cut up counts as one frame. A checksum
/// that the device would complete is complete in the capture.
final class FrameCapture: @unchecked Sendable {
    /// The most that is captured, in octets of the file.
    private static let bound = 32 << 20
    /// The most that is kept of a frame: all of a segment.
    private static let frameLength = 70_000

    /// The file.
    let path: String
    private let socket: PacketSocket
    private let packetPlace: PacketPlace
    private let state: Mutex<State>
    private let stopping = RaisedFlag()
    private let isStopped = Mutex(false)

    fileprivate struct State: ~Copyable {
        /// Nil once the capture has ended.
        var file: CaptureFile?
        /// Why the file is not whole. The frames in memory are counted all the same.
        var fileFailure: ApplianceError?
        var octets: [UInt8] = []
        var frames: [Frame] = []
        var lost = 0
        var isFull = false
    }

    /// One captured frame.
    struct Frame: Sendable {
        var nanoseconds: UInt64
        var isOutgoing: Bool
        /// Its length on the device.
        var length: Int
        /// The range of its octets in the capture.
        var range: Range<Int>
    }

    /// - Parameters:
    ///   - place: What the file says of the device.
    ///   - names: What addresses are called in the file.
    ///   - packetPlace: Where packets are in the device's frames.
    /// - Throws: The sentence for a device that cannot be watched, or a file that cannot be written.
    init(
        on device: String, in namespace: NetworkNamespace, path: String, _ place: PcapngInterface,
        _ names: [PcapngName],
        _ packetPlace: PacketPlace = .plain
    ) throws(ApplianceError) {
        self.path = path
        self.packetPlace = packetPlace
        do throws(SystemError) {
            socket = try PacketSocket(on: device, in: namespace, frameLength: Self.frameLength, room: 8 << 20)
        } catch { throw ApplianceError(.failed, "\(error)") }
        let section = PcapngSection(
            interfaces: [place], snapLength: Self.frameLength, linkType: packetPlace.linkType, names: names,
            application: "tapline \(Release.version)")
        // The node's own processes may write into its folder, and read the file.
        let target = CaptureTarget.file(CapturePath(path, mode: 0o644, followsLinks: false))
        state = Mutex(State(file: try CaptureFile(to: target, section)))
        try startThread { [self] in
            while !isStopped.withLock({ $0 }) {
                _ = pollOne(socket.descriptor, POLLIN, within: .milliseconds(50))
                drain()
            }
            stopping.raise()
        }
    }

    /// Takes the frames that have passed until now.
    func flush() {
        guard !isStopped.withLock({ $0 }) else { return }
        usleep(UInt32(clamping: (PacketSocket.patience * 3).wholeMicroseconds))
        drain()
    }

    /// Ends the capture; the file stays.
    func stop() {
        let wasStopped = isStopped.withLock { stopped in
            defer { stopped = true }
            return stopped
        }
        guard !wasStopped else { return }
        stopping.wait()
        state.withLock { state in
            let lost = UInt64(state.lost)
            guard let file = state.file.take() else { return }
            do throws(ApplianceError) { try file.close(lost: [lost]) } catch { state.fileFailure = error }
        }
    }

    private func drain() {
        state.withLock { state in
            socket.drain { frame in
                // It is of a packet's check, and of nobody else.
                guard !Canary.isOne(frame.bytes) else { return }
                guard !state.isFull else {
                    state.lost += 1
                    return
                }
                var bytes = Array(frame.bytes)
                if frame.hasPartialChecksum { Self.completeChecksum(&bytes) }
                let start = state.octets.count
                state.octets += bytes
                state.frames.append(
                    Frame(
                        nanoseconds: frame.nanoseconds, isOutgoing: frame.isOutgoing, length: frame.length,
                        range: start..<start + bytes.count))
                state.write(
                    PcapngPacket(
                        interface: 0, direction: frame.isOutgoing ? .outbound : .inbound,
                        nanoseconds: frame.nanoseconds, octets: bytes, length: frame.length))
                if state.octets.count > Self.bound { state.isFull = true }
            }
            state.lost += (try? socket.losses()) ?? 0
            state.flush()
        }
    }

    /// The frames and octets that pass the filter, and the frames that were not captured.
    func count(_ filter: FrameFilter) -> (frames: UInt64, bytes: UInt64, lost: Int) {
        state.withLock { state in
            var sum: (frames: UInt64, bytes: UInt64) = (0, 0)
            state.octets.withUnsafeBytes { octets in
                for frame in state.frames
                where matches(filter, UnsafeRawBufferPointer(rebasing: octets[frame.range]), frame.isOutgoing) {
                    sum.frames += 1
                    sum.bytes += UInt64(frame.length)
                }
            }
            return (sum.frames, sum.bytes, state.lost)
        }
    }

    /// True if the frame's packet meets all that is given, whatever stands before it.
    private func matches(_ filter: FrameFilter, _ frame: UnsafeRawBufferPointer, _ isOutgoing: Bool) -> Bool {
        guard !packetPlace.isPlain else { return filter.matches(frame, isOutgoing) }
        let packets = packetPlace.packets(in: frame)
        guard !packets.isEmpty else { return filter.matches(frame, isOutgoing) }
        return packets.contains { $0.withUnsafeBytes { filter.matches($0, isOutgoing) } }
    }

    /// A frame's packet, or the frame if it has none.
    private func shown(_ octets: ArraySlice<UInt8>) -> [UInt8] {
        octets.withUnsafeBytes { packetPlace.packets(in: $0).first } ?? Array(octets)
    }

    /// The last frames, one line each.
    func frameSummary(_ count: Int) -> [String] {
        state.withLock { state in
            let failure = state.fileFailure.map { ["(the file is not whole: \($0.message))"] } ?? []
            guard !state.frames.isEmpty else { return failure + ["(no frame)"] }
            let first = state.frames[0].nanoseconds
            let left = state.frames.count - count
            return failure + (left > 0 ? ["(\(Plural.counted(left, "frame")) before)"] : [])
                + state.frames.suffix(count).map { frame in
                    let milliseconds = Int(frame.nanoseconds &- first) / 1_000_000
                    return "+\(milliseconds) ms \(frame.isOutgoing ? "out" : "in") "
                        + FrameText.line(shown(state.octets[frame.range]), frame.length)
                }
        }
    }

    private static func completeChecksum(_ frame: inout [UInt8]) {
        frame.withUnsafeMutableBytes { buffer in
            var frame = MutableRawSpan(_unsafeBytes: buffer)
            guard let head = NetworkHead(frame.bytes),
                let offset = IPProtocol.pseudoHeaderChecksumOffset(head.protocolNumber, head.family)
            else { return }
            InternetChecksum.complete(&frame, start: head.transportOffset, offset: offset, end: buffer.count)
        }
    }
}

extension FrameCapture.State {
    /// Writes a packet to the file, if that is still written.
    fileprivate mutating func write(_ packet: PcapngPacket) {
        guard fileFailure == nil else { return }
        do throws(ApplianceError) { try file?.add(packet) } catch { fileFailure = error }
    }

    /// Lets later steps read what was written.
    fileprivate mutating func flush() {
        guard fileFailure == nil else { return }
        do throws(ApplianceError) { try file?.flush() } catch { fileFailure = error }
    }
}

extension FrameFilter {
    /// True if a frame meets all that is given.
    package func matches(_ frame: UnsafeRawBufferPointer, _ isOutgoing: Bool) -> Bool {
        if let direction, (direction == .out) != isOutgoing { return false }
        if port != nil || !source.isEmpty || !destination.isEmpty {
            guard let head = NetworkHead(frame.bytes) else { return false }
            if !source.isEmpty, !source.contains(where: { $0.contains(head.source) }) { return false }
            if !destination.isEmpty, !destination.contains(where: { $0.contains(head.destination) }) { return false }
            if let port {
                let wanted = port.servicePort(head.family)
                guard wanted.protocolNumber.map({ $0 == head.protocolNumber }) ?? true else { return false }
                if IPProtocol.hasPorts(head.protocolNumber), port.ports != 0...65535 {
                    guard head.transportOffset + PortHeader.length <= frame.count else { return false }
                    let ends = [PortHeader.sourcePort, PortHeader.destinationPort].map {
                        frame.bytes.load($0, at: head.transportOffset)
                    }
                    guard ends.contains(where: port.ports.contains) else { return false }
                }
            }
        }
        guard !contains.isEmpty else { return true }
        let octets = Array(frame.dropFirst(EthernetView.length))
        return contains.allSatisfy { octets.holds($0) }
    }
}

/// Frames as lines for a person.
enum FrameText {
    /// `192.0.2.10:4242 → 203.0.113.80:80 TCP SYN, 74 octets`
    static func line(_ frame: [UInt8], _ length: Int) -> String {
        frame.withUnsafeBytes { buffer in
            let frame = buffer.bytes
            guard let head = NetworkHead(frame) else {
                guard let ethernet = EthernetView(frame) else { return "\(length) octets" }
                let type = ethernet.type == EtherType.arp ? "ARP" : "type 0x" + String(ethernet.type, radix: 16)
                return "\(ethernet.sourceAddress) → \(ethernet.destinationAddress) \(type), \(length) octets"
            }
            var source = "\(head.source)", destination = "\(head.destination)"
            let start = head.transportOffset
            if IPProtocol.hasPorts(head.protocolNumber), start + PortHeader.length <= buffer.count {
                let isLong = head.family == .ipv6
                let (from, to) = (PortHeader.sourcePort, PortHeader.destinationPort)
                source = (isLong ? "[\(source)]" : source) + ":\(frame.load(from, at: start))"
                destination = (isLong ? "[\(destination)]" : destination) + ":\(frame.load(to, at: start))"
            }
            return "\(source) → \(destination) \(kind(frame, head)), \(length) octets"
        }
    }

    private static func kind(_ frame: RawSpan, _ head: NetworkHead) -> String {
        switch head.protocolNumber {
        case IPProtocol.tcp:
            guard let header = TCPView(frame, at: head.transportOffset) else { return "TCP" }
            let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"]
            let flags = names.indices.filter { header.controlBits & 1 << UInt8($0) != 0 }.map { names[$0] }
            return "TCP " + flags.joined(separator: " ")
        case IPProtocol.udp: return "UDP"
        case IPProtocol.icmp, IPProtocol.icmpv6:
            guard let header = ICMPView(frame, at: head.transportOffset) else { return "ICMP" }
            switch ICMPView.message(type: header.type, head.family) {
            case .echoRequest: return "ICMP echo request"
            case .echoReply: return "ICMP echo reply"
            case .error: return "ICMP error \(header.type).\(header.code)"
            default: return "ICMP type \(header.type)"
            }
        default: return "protocol \(head.protocolNumber)"
        }
    }
}
