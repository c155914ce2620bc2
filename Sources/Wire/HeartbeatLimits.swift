/// The limits of the health checks' own packets. They let an engine recognize these packets fast.
public enum HeartbeatLimits {
    /// The most octets of one, from the Ethernet header on.
    public static let maximumFrame = 256

    /// True if a frame is short enough and its last eight octets (big-endian) are `token`, which is not 0.
    ///
    /// - Parameters:
    ///   - frame: From the Ethernet header on.
    ///   - length: Its octets, all of them there (not checked).
    @inlinable @inline(__always)
    public static func ends(_ frame: UnsafeRawPointer, _ length: Int, with token: UInt64) -> Bool {
        length <= maximumFrame && length >= MemoryLayout<UInt64>.size && token != 0
            && frame.big(HeaderField<UInt64>(length &- MemoryLayout<UInt64>.size)) == token
    }
}
