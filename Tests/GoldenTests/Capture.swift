import Engine
import Glibc
import Wire

/// A capture file as the golden cases keep them: classic pcap with times in nanoseconds, little-endian.
///
/// Frames are plain Ethernet (link type 1), and stand for frames with an empty offload header; or, where one of them has
/// an offload header, all of them have one in front: link type 147, the first of those reserved for private use, whose
/// frames here begin with the ten octets of a `virtio_net_hdr`. Of devices of frame relay and ATM they have the link types 107
/// and 123, without `tun_pi`.
struct Capture: Equatable {
    static let ethernet: UInt32 = 1
    static let withOffloadHeader: UInt32 = 147

    struct Frame: Equatable {
        /// Nanoseconds.
        var time: UInt64
        /// The `virtio_net_hdr`, or `tun_pi`, and the frame.
        var bytes: [UInt8]
    }

    var frames: [Frame] = []
    /// The device.
    var link = Encapsulation.Link.ethernet

    var linkType: UInt32 {
        if link != .ethernet { return link == .frameRelay ? 107 : 123 }
        return frames.allSatisfy { $0.bytes.prefix(VirtioNetHeader.length).allSatisfy { $0 == 0 } }
            ? Self.ethernet : Self.withOffloadHeader
    }

    /// The octets of the file.
    var octets: [UInt8] {
        let type = linkType
        var octets: [UInt8] = []
        func add(_ value: UInt32) { octets += (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        add(0xA1B2_3C4D)
        add(4 << 16 | 2)
        add(0)
        add(0)
        add(0x4_0000)
        add(type)
        for frame in frames {
            let content = frame.bytes.dropFirst(Self.missing(type, link).count)
            add(UInt32(frame.time / 1_000_000_000))
            add(UInt32(frame.time % 1_000_000_000))
            add(UInt32(content.count))
            add(UInt32(content.count))
            octets += content
        }
        return octets
    }

    init(_ frames: [Frame] = [], _ link: Encapsulation.Link = .ethernet) {
        self.frames = frames
        self.link = link
    }

    /// What stands before frames of a device, but not in a file.
    private static func missing(_ type: UInt32, _ link: Encapsulation.Link) -> [UInt8] {
        switch link {
        case .ethernet: [UInt8](repeating: 0, count: type == ethernet ? VirtioNetHeader.length : 0)
        case .frameRelay: [0, 0, 0x00, 0x19]
        case .atm: [0, 0, 0x88, 0x84]
        }
    }

    struct Unreadable: Error, CustomStringConvertible { let description: String }

    /// Reads a file; one that is not there holds nothing.
    init(path: String, _ link: Encapsulation.Link = .ethernet) throws {
        self.link = link
        guard let octets = try Self.contents(of: path) else { return }
        func word(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(octets[offset + $1]) << (8 * UInt32($1)) }
        }
        guard octets.count >= 24, [0xA1B2_3C4D, 0xA1B2_C3D4].contains(word(0)) else {
            throw Unreadable(description: "\(path) is not a little-endian pcap file")
        }
        let unit: UInt64 = word(0) == 0xA1B2_3C4D ? 1 : 1_000
        let type = word(20)
        guard link == .ethernet ? type == Self.ethernet || type == Self.withOffloadHeader : type == linkType else {
            throw Unreadable(description: "\(path) has the link type \(type), which is not that of its device")
        }
        var place = 24
        while place < octets.count {
            guard place + 16 <= octets.count, place + 16 + Int(word(place + 8)) <= octets.count else {
                throw Unreadable(description: "\(path) ends inside of a frame")
            }
            let length = Int(word(place + 8))
            let header = Self.missing(type, link)
            frames.append(
                Frame(
                    time: UInt64(word(place)) * 1_000_000_000 + UInt64(word(place + 4)) * unit,
                    bytes: header + octets[place + 16..<place + 16 + length]))
            place += 16 + length
        }
    }

    private static func contents(of path: String) throws -> [UInt8]? {
        guard let file = fopen(path, "r") else {
            guard errno == ENOENT else { throw Unreadable(description: "\(path) cannot be opened") }
            return nil
        }
        defer { fclose(file) }
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return octets }
            octets += buffer[..<count]
        }
    }

    /// Writes the file; a capture of nothing takes it away.
    func write(to path: String) throws {
        guard !frames.isEmpty else {
            guard unlink(path) == 0 || errno == ENOENT else { throw Unreadable(description: "\(path) stays") }
            return
        }
        guard let file = fopen(path, "w") else { throw Unreadable(description: "\(path) cannot be written") }
        let octets = octets
        let written = fwrite(octets, 1, octets.count, file)
        guard fclose(file) == 0, written == octets.count else {
            throw Unreadable(description: "\(path) was not written whole")
        }
    }
}
