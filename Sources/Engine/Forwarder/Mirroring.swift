import Forwarding
import Wire

// `copies: everything`: passive applications get every frame as it arrived, before any processing.

extension Forwarder {
    /// Adds a copy of a frame to the writes for each of the interface's mirrors. Do not edit the frame before they are
    /// sent.
    mutating func mirror(_ frame: ReceivedFrame, _ mirrors: Range<Int>, into writes: inout WriteList) {
        let octets = frame.length &- Self.frameOffset
        // The health checks' own packets are not mirrored. The kernel takes no frame shorter than an Ethernet header.
        guard octets >= EthernetView.length, !isHeartbeat(frame.start, frame.length) else { return }
        for place in mirrors {
            guard writes.hasRoom else {
                counters.countDrop(.tapFull)
                continue
            }
            let header = writes.nextHeader
            let length = Self.frameOffset &+ EthernetView.length
            header.copyMemory(from: frame.start, byteCount: length)
            // Only requests of the offload header are passed on, and only if the kernel could fulfil them.
            let flags = header.load(as: UInt8.self) & VirtioNetHeader.needsChecksum
            header.storeBytes(of: flags, as: UInt8.self)
            if flags == 0 { (header + 1).initializeMemory(as: UInt8.self, repeating: 0, count: Self.frameOffset &- 1) }
            writes.add(
                interface: table.mirror(place), header: header, headerLength: length,
                body: UnsafeRawPointer(frame.start + length), bodyLength: frame.length &- length, packets: 1,
                octets: octets)
        }
    }
}
