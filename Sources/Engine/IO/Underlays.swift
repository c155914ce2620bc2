import CLinux
import Wire

/// Some of the interfaces, as a bit for each.
struct InterfaceSet {
    private let words: UnsafeMutableBufferPointer<UInt64>

    /// Those whose devices have the long offload header, which only devices have that take segments in tunnels.
    ///
    /// The kernel is asked, so an engine needs no other word about its devices. The memory is for the lifetime of the process.
    ///
    /// - Returns: Nil if there are none.
    static func underlays(_ queues: UnsafeMutableBufferPointer<Int32>, queueCount: Int) -> InterfaceSet? {
        let found = (0..<queues.count / queueCount).filter { interface in
            // What is no TAP has no header size.
            clinux_tap_header(queues[interface * queueCount]) == Int32(VirtioNetHeader.longLength)
        }
        guard let last = found.last else { return nil }
        let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: last / 64 + 1)
        words.initialize(repeating: 0)
        for interface in found { words[interface / 64] |= 1 << UInt64(interface % 64) }
        return InterfaceSet(words: words)
    }

    private init(words: UnsafeMutableBufferPointer<UInt64>) { self.words = words }

    @inline(__always)
    func contains(_ interface: Int) -> Bool {
        let word = interface >> 6
        return word >= 0 && word < words.count && words[word] >> UInt64(interface & 63) & 1 != 0
    }
}

/// Room for a long offload header.
struct LongHeader {
    private var words: (UInt64, UInt64, UInt64) = (0, 0, 0)

    /// Describes a write with the long header in place of its short one.
    ///
    /// - Parameters:
    ///   - vector: Room for three parts.
    ///   - header: Room for the long header, which the first part is.
    /// - Returns: How many parts.
    @inline(__always)
    static func place(
        _ write: UnsafeMutablePointer<FrameWrite>, in vector: UnsafeMutablePointer<iovec>,
        header: UnsafeMutableRawPointer
    ) -> Int {
        VirtioNetHeader.lengthen(write.pointee.header, to: header)
        vector[0] = iovec(iov_base: header, iov_len: VirtioNetHeader.longLength)
        vector[1] = iovec(
            iov_base: write.pointee.header + VirtioNetHeader.length,
            iov_len: max(0, write.pointee.headerLength &- VirtioNetHeader.length))
        guard write.pointee.bodyLength > 0 else { return 2 }
        vector[2] = iovec(
            iov_base: UnsafeMutableRawPointer(mutating: write.pointee.body), iov_len: write.pointee.bodyLength)
        return 3
    }
}
