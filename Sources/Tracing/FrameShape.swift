import Wire

/// The parts of a plain frame that decide what the engine does with it, if its checksums are right: its `virtio_net_hdr` and
/// headers, without the identification, numbers and checksums, which differ between the packets of a flow.
struct FrameShape: Hashable {
    private let interface: Int
    private let length: Int
    private let octets: InlineOctets

    /// The largest headers, from the `virtio_net_hdr` to the ports and TCP's control bits: IPv6 with TCP.
    private struct InlineOctets: Hashable {
        var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0
        )

        static func == (one: InlineOctets, other: InlineOctets) -> Bool {
            withUnsafeBytes(of: one.words) { one in
                withUnsafeBytes(of: other.words) { one.elementsEqual($0) }
            }
        }

        func hash(into hasher: inout Hasher) {
            withUnsafeBytes(of: words) { hasher.combine(bytes: $0) }
        }
    }

    /// nil for a frame that is not plain (`FrameKind`), and for one to a group: what becomes of it depends on who is in
    /// the group.
    ///
    /// - Parameters:
    ///   - octets: The `virtio_net_hdr` and the first octets of the frame.
    ///   - length: The octets that both had.
    init?(_ octets: [UInt8], length: Int, on interface: Int) {
        let start = VirtioNetHeader.length + EthernetHeader.length
        guard octets.count <= length else { return nil }
        var copied = InlineOctets()
        let isPlain = octets.withUnsafeBytes { octets -> Bool in
            guard let base = octets.baseAddress, octets.count > VirtioNetHeader.length,
                octets[VirtioNetHeader.length] & 1 == 0
            else { return false }
            let kind = FrameKind(base, octets.count)
            guard kind != .other else { return false }
            let transport = start + kind.networkLength
            return withUnsafeMutableBytes(of: &copied.words) { words in
                words.copyMemory(from: UnsafeRawBufferPointer(rebasing: octets[..<(transport + 4)]))
                if kind.family == .ipv4 {
                    let (identification, checksum) = (start + 4, start + 10)
                    (words[identification], words[identification + 1]) = (0, 0)
                    (words[checksum], words[checksum + 1]) = (0, 0)
                }
                if kind.isTCP {
                    (words[transport + 4], words[transport + 5]) = (octets[transport + 12], octets[transport + 13])
                }
                return true
            }
        }
        guard isPlain else { return nil }
        self.interface = interface
        self.length = length
        self.octets = copied
    }
}
