import CLinux
import Wire

/// Sends frames into nodes and hears what comes out of them: one packet socket (AF_PACKET) on all devices of a
/// namespace.
///
/// A frame sent on a veth comes out of its other end; a frame that the other end sends is heard here before any bridge
/// has it. It hears only short frames that end in a token or go to one MAC address. Ordinary traffic is never copied
/// here. One socket serves all devices, for two reasons: closing a packet socket takes about 15 ms, and a new device is
/// heard at once. One thread uses it.
public final class ProbeSocket: @unchecked Sendable {
    /// Readable when frames are there; valid as long as this object lives.
    public let descriptor: Int32
    private let longest: Int
    // The frames to be sent: where each is in `outgoing`.
    private let outgoing: UnsafeMutableRawBufferPointer
    private var queued: [clinux_probe_frame] = []
    private let incoming: UnsafeMutableRawBufferPointer
    private let seen = UnsafeMutablePointer<clinux_probe_frame>.allocate(capacity: ProbeSocket.batch)

    private static let batch = Int(CLINUX_PROBE_BATCH)

    /// - Parameters:
    ///   - token: The last octets of the frames that are heard, big-endian.
    ///   - mac: Frames to this address are heard, too.
    ///   - longest: The longest frame that is heard or sent, in octets.
    /// - Throws: The kernel's refusal of the socket, or of the namespace.
    public init(
        in namespace: NetworkNamespace, token: UInt64, mac: MACAddress, longest: Int
    ) throws(SystemError) {
        descriptor = try namespace.perform { () throws(SystemError) in
            try SystemError.check(
                clinux_probe_open(token, mac.bits, UInt32(clamping: longest)), "open a packet socket in",
                namespace.name)
        }
        self.longest = longest
        outgoing = .allocate(byteCount: longest * Self.batch, alignment: 8)
        incoming = .allocate(byteCount: longest * Self.batch, alignment: 8)
    }

    deinit {
        close(descriptor)
        outgoing.deallocate()
        incoming.deallocate()
        seen.deallocate()
    }

    /// Puts a frame in the queue; where that is full, it is sent first.
    ///
    /// - Parameter write: Writes the frame into the room that it is given, and returns its length; 0: there is none.
    /// - Returns: False if there is none.
    @discardableResult
    public func queue(on device: Int32, _ write: (inout MutableRawSpan) -> Int) -> Bool {
        queue(on: device, answering: RawSpan()) { room, _ in write(&room) }
    }

    /// The same for an answer to a frame. The frame may be one that `drain` has handed over: it does not change
    /// meanwhile.
    @discardableResult
    public func queue(
        on device: Int32, answering frame: RawSpan, _ write: (inout MutableRawSpan, RawSpan) -> Int
    ) -> Bool {
        if queued.count == Self.batch { flush() }
        let offset = queued.count * longest
        let room = UnsafeMutableRawBufferPointer(rebasing: outgoing[offset..<offset + longest])
        var span = MutableRawSpan(_unsafeBytes: room)
        let length = write(&span, frame)
        guard length > 0 else { return false }
        queued.append(
            clinux_probe_frame(device: device, offset: UInt32(offset), length: UInt32(length)))
        return true
    }

    /// Sends what is in the queue. A frame that the kernel does not take (the device is down, or gone) is lost, as on
    /// any link.
    public func flush() {
        var next = 0
        while next < queued.count {
            let sent = queued.withUnsafeBufferPointer {
                clinux_probe_send(descriptor, outgoing.baseAddress, $0.baseAddress! + next, $0.count - next)
            }
            next += max(1, Int(sent))
        }
        queued.removeAll(keepingCapacity: true)
    }

    /// Calls `body` with every frame that is there and the device that it came in by.
    public func drain(_ body: (_ frame: RawSpan, _ device: Int32) -> Void) {
        while true {
            let count = Int(clinux_probe_receive(descriptor, incoming.baseAddress, longest, seen, Self.batch))
            guard count > 0 else { return }
            for index in 0..<count {
                let frame = seen[index]
                let range = Int(frame.offset)..<Int(frame.offset) + Int(frame.length)
                body(UnsafeRawBufferPointer(rebasing: incoming[range]).bytes, frame.device)
            }
            if count < Self.batch { return }
        }
    }
}
