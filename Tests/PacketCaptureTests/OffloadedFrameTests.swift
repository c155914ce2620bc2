import PacketCapture
import Testing
import Wire

/// What a capture shows of frames whose receiver would have had work to do.
@Suite struct OffloadedFrameTests {
    private let section = PcapngSection(interfaces: [PcapngInterface("x")])

    private func record(_ octets: [UInt8], length: Int? = nil) -> CaptureRecord {
        CaptureRecord(
            interface: 0, direction: .inbound, time: MonotonicTime(nanoseconds: 5), octets: octets,
            length: length ?? octets.count, worker: 1, identifier: 9, lostBefore: 4, comments: ["c"])
    }

    private func write(_ records: [CaptureRecord], segments: Bool, _ rig: CaptureRig) throws {
        var file = try CaptureFile(to: .file(CapturePath(rig.path("a.pcapng"))), section)
        for record in records { try file.add(record, segments: segments, CaptureClock(offset: 1_000_000_000)) }
        try file.close()
    }

    private static let checks = "-o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE"

    @Test("A partial checksum is completed where the whole frame is there, and the copy alone is changed")
    func checksum() throws {
        let rig = try CaptureRig()
        let octets = CaptureFrames.offload() + CaptureFrames.tcp(payload: Array("hello".utf8))
        let cut = Array(octets.dropLast(2))
        try write([record(octets), record(cut, length: octets.count)], segments: false, rig)
        let rows = try rig.tshark(
            "a.pcapng", ["frame.len", "frame.cap_len", "tcp.checksum.status", "tcp.checksum"], Self.checks)
        #expect(rows[0][..<3] == ["59", "59", "1"])
        // tshark does not judge a frame that is cut; its field is as it was.
        #expect(rows[1][..<2] == ["59", "57"])
        let field = octets[60..<62].reduce(0) { $0 << 8 | Int($1) }
        #expect(rows[1][3] == "0x" + (String(repeating: "0", count: 4) + String(field, radix: 16)).suffix(4))
        #expect(rows[0][3] != rows[1][3])
    }

    @Test("A superframe is written as the receiver gets it, with a right checksum")
    func superframe() throws {
        let rig = try CaptureRig()
        let payload = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try write(
            [record(CaptureFrames.offload(segment: 1_448) + CaptureFrames.tcp(payload: payload))], segments: false, rig)
        let rows = try rig.tshark("a.pcapng", ["tcp.len", "ip.checksum.status", "tcp.checksum.status"], Self.checks)
        #expect(rows == [["5000", "1", "1"]])
    }

    @Test("A superframe is cut as a wire would have it")
    func segments() throws {
        let rig = try CaptureRig()
        let payload = (0..<5_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let whole = CaptureFrames.offload(segment: 1_448) + CaptureFrames.tcp(payload: payload, flags: 0x99)
        try write([record(whole), record(Array(whole.dropLast()), length: whole.count)], segments: true, rig)
        let rows = try rig.tshark(
            "a.pcapng",
            [
                "tcp.len", "tcp.seq_raw", "ip.id", "tcp.flags", "ip.checksum.status", "tcp.checksum.status",
                "frame.packet_id", "frame.comment", "frame.drop_count", "frame.time_epoch",
            ], Self.checks)
        let common = ["1", "1", "9", "c\\n"]
        let time = "1.000000005"
        #expect(
            rows.dropLast() == [
                ["1448", "1", "0x1234", "0x0090"] + common + ["4", time],
                ["1448", "1449", "0x1235", "0x0010"] + common + ["", time],
                ["1448", "2897", "0x1236", "0x0010"] + common + ["", time],
                ["656", "4345", "0x1237", "0x0019"] + common + ["", time],
            ])
        // One of which a part is missing cannot be cut.
        #expect(rows.last?[..<1] == ["5000"])
        let data = try rig.run(
            "tshark -r \(rig.path("a.pcapng")) -n -T fields -e tcp.payload -c 4 | tr -d '\\n'")
        #expect(data == payload.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
    }

    @Test("A superframe behind a tag is cut, too")
    func tagged() throws {
        let rig = try CaptureRig()
        var header = CaptureFrames.offload(segment: 100)
        header[6] += 4
        var frame = CaptureFrames.tcp(payload: [UInt8](repeating: 7, count: 250))
        frame.insert(contentsOf: [0x81, 0x00, 0x00, 0x05], at: 12)
        try write([record(header + frame)], segments: true, rig)
        let rows = try rig.tshark(
            "a.pcapng", ["vlan.id", "tcp.len", "ip.checksum.status", "tcp.checksum.status"], Self.checks)
        #expect(rows == [["5", "100", "1", "1"], ["5", "100", "1", "1"], ["5", "50", "1", "1"]])
    }

    @Test("Whatever the offload header says, something harmless is written")
    func hostile() throws {
        let frame = CaptureFrames.tcp(payload: [UInt8](repeating: 1, count: 100))
        for type: UInt8 in [0, 1, 3, 4, 5, 0x81, 0xFF] {
            for (start, offset, size) in [
                (0, 0, 0), (34, 16, 1), (34, 6, 7), (65_535, 65_535, 65_535), (153, 0, 1), (14, 2, 9),
            ] {
                var header = [UInt8](repeating: 0, count: 10)
                header[0] = 1
                header[1] = type
                for (place, value) in [(4, size), (6, start), (8, offset)] {
                    header[place] = UInt8(value & 255)
                    header[place + 1] = UInt8(value >> 8)
                }
                for count in [0, 3, 14, 33, 34, 53, 54, 60, frame.count] {
                    let record = record(header + frame[..<count])
                    for packet in record.packets(segments: true, CaptureClock(offset: 0)) {
                        #expect(packet.octets.count <= count && packet.length <= count)
                    }
                }
            }
        }
        #expect(record([1, 2, 3]).packets(segments: true, CaptureClock(offset: 0)).isEmpty)
    }
}
