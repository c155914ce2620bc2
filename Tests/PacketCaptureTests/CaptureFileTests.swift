import Foundation
import PacketCapture
import Reporting
import Testing
import Wire

/// A capture's file is whole at any moment, ends when it should, and fails with one sentence and nothing else.
@Suite struct CaptureFileTests {
    private let section = PcapngSection(
        interfaces: [PcapngInterface("web on servers")], names: [PcapngName(.network(IPAddress(ipv4: 1)), "one")])

    private func packet(_ number: Int, payload: Int = 5) -> PcapngPacket {
        PcapngPacket(
            interface: 0, nanoseconds: UInt64(number),
            octets: CaptureFrames.tcp(payload: [UInt8](repeating: 1, count: payload)),
            identifier: UInt64(number))
    }

    private func numbers(_ rig: CaptureRig, _ name: String) throws -> [Int] {
        try rig.tshark(name, ["frame.packet_id"]).compactMap { Int($0[0]) }
    }

    @Test("A program that follows a pipe sees each packet when it was flushed")
    func live() throws {
        let rig = try CaptureRig()
        try #require(mkfifo(rig.path("pipe"), 0o600) == 0)
        let tshark = Process()
        tshark.executableURL = URL(fileURLWithPath: "/bin/sh")
        tshark.arguments = [
            "-c", "exec tshark -l -n -i \(rig.path("pipe")) -T fields -e frame.packet_id -e frame.interface_name",
        ]
        tshark.environment = ["HOME": rig.folder, "PATH": "/usr/bin:/bin"]
        let output = Pipe()
        tshark.standardOutput = output
        tshark.standardError = FileHandle.nullDevice
        try tshark.run()
        defer {
            if tshark.isRunning { tshark.terminate() }
            tshark.waitUntilExit()
        }
        var file = try CaptureFile(to: .file(CapturePath(rig.path("pipe"))), section)
        for number in 1...3 {
            try file.add(packet(number))
            try file.flush()
            // No packet follows before this one is seen.
            var line = Data()
            while !line.contains(10) {
                let more = output.fileHandleForReading.availableData
                try #require(!more.isEmpty, "tshark has ended")
                line += more
            }
            #expect(String(decoding: line, as: UTF8.self) == "\(number)\tweb on servers\n")
        }
        try file.close()
        tshark.waitUntilExit()
        #expect(tshark.terminationStatus == 0)
    }

    @Test("A capture ends with its number of packets, and takes none from its end on")
    func limits() throws {
        let rig = try CaptureRig()
        let limits = CaptureLimits(packets: 3, end: MonotonicTime(nanoseconds: 100))
        var file = try CaptureFile(to: .file(CapturePath(rig.path("a"))), section, limits: limits)
        func record(_ time: UInt64) -> CaptureRecord {
            let octets = CaptureFrames.offload() + CaptureFrames.tcp(payload: [1])
            return CaptureRecord(
                interface: 0, direction: .inbound, time: MonotonicTime(nanoseconds: time), octets: octets,
                length: octets.count)
        }
        for time: UInt64 in [98, 100, 99, 101] { try file.add(record(time), CaptureClock(offset: 0)) }
        let before = [99, 100].map { UInt64($0) }.map { MonotonicTime(nanoseconds: $0) }
        let (packets, at99, at100) = (file.packets, file.isComplete(at: before[0]), file.isComplete(at: before[1]))
        #expect(packets == 2 && !at99 && at100)
        try file.add(record(1), CaptureClock(offset: 0))
        let isFull = file.isComplete(at: before[0])
        #expect(isFull)
        try file.add(record(2), CaptureClock(offset: 0))
        try file.close(lost: [40])
        let blocks = try rig.blocks("a")
        #expect(blocks.filter { $0.block == "packet" }.map(\.time) == [98, 99, 1])
        // Received: the three written and the forty lost.
        #expect(blocks.last?.options?.filter { $0.code > 3 }.map(\.value) == ["2b00000000000000", "2800000000000000"])
    }

    @Test("A ring keeps its last files, each within its size and readable by itself")
    func ring() throws {
        let rig = try CaptureRig()
        let ring = FileRing(size: 1 << 20, files: 3)
        var file = try CaptureFile(to: .ring(CapturePath(rig.path("web.pcapng")), ring), section)
        try file.add(keyLog: Array("CLIENT_RANDOM 00 11\n".utf8))
        for number in 1...3_500 { try file.add(packet(number, payload: 1_400)) }
        let later = try file.add(PcapngInterface("later"))
        #expect(later == 1)
        try file.add([PcapngName(.network(IPAddress(ipv4: 2)), "two")])
        for number in 3_501...4_200 {
            var packet = packet(number, payload: 1_400)
            packet.interface = 1
            try file.add(packet)
        }
        let last = file.name
        try file.close()
        let files = try rig.files()
        #expect(files.count == 3)
        #expect(last.hasSuffix(files.last ?? "?"))
        #expect(files.allSatisfy { $0.hasPrefix("web-0000") && $0.hasSuffix(".pcapng") })
        var all: [Int] = []
        for name in files {
            #expect(try rig.octets(name).count <= 1 << 20)
            let blocks = try rig.blocks(name)
            #expect(blocks[0].block == "section")
            #expect(blocks.contains { $0.text == "CLIENT_RANDOM 00 11\n" })
            #expect(blocks.last?.block == "statistics")
            all += try numbers(rig, name)
        }
        // Nothing is missing between files, and the newest are there.
        #expect(all == Array((4_200 - all.count + 1)...4_200))
        #expect(all.count > 1_400)
        let newest = try rig.blocks(files[2])
        #expect(newest.filter { $0.block == "interface" }.count == 2)
        #expect(newest.first { $0.block == "names" }?.records?.count == 2)
    }

    @Test(
        "A ring is SIZE×N",
        arguments: [
            ("100M×4", 100 << 20, 4), ("1024kx2", 1 << 20, 2), ("2G*9999", 2 << 30, 9_999), ("1048576X3", 1 << 20, 3),
        ])
    func ringText(_ text: String, _ size: UInt64, _ files: Int) throws {
        #expect(try FileRing(text) == FileRing(size: size, files: files))
    }

    @Test(
        "What is no ring is refused with an example",
        arguments: [
            "", "100M", "×4", "100M×", "100Q×4", "-1M×4", "1k×4", "100M×1", "100M×10000", "99999999999999G×2", "1M×2×3",
        ])
    func noRing(_ text: String) throws {
        let refusal = try #require(throws: ApplianceError.self) { try FileRing(text) }
        #expect(refusal.status == .usage)
        #expect(refusal.hint?.contains("--ring 100M×4") == true)
    }

    @Test("Names of a ring's files")
    func ringNames() {
        #expect(FileRing.path("a/web.pcapng", number: 7) == "a/web-00007.pcapng")
        #expect(FileRing.path("a.b/web", number: 123_456) == "a.b/web-123456")
        #expect(FileRing.path(".hidden", number: 1) == ".hidden-00001")
    }

    @Test("A full disk ends the capture with a sentence that names the file; the packets before are in it")
    func fullDisk() throws {
        let rig = try CaptureRig()
        try #require(mkdir(rig.path("small"), 0o700) == 0)
        try #require(mount("tmpfs", rig.path("small"), "tmpfs", 0, "size=256k") == 0, "needs root")
        defer { umount2(rig.path("small"), Int32(MNT_DETACH)) }
        let name = rig.path("small/a.pcapng")
        var file = try CaptureFile(to: .file(CapturePath(name)), section)
        var failed: [ApplianceError] = []
        for number in 1...2_000 {
            do throws(ApplianceError) {
                try file.add(packet(number, payload: 1_400))
                if number % 10 == 0 { try file.flush() }
            } catch { failed.append(error) }
        }
        let first = try #require(failed.first)
        #expect(first.message == "cannot write \(name): No space left on device")
        #expect(first.hint?.contains("--ring") == true)
        // It stays at that.
        #expect(failed.count > 100 && Set(failed.map(\.description)).count == 1)
        let isOver = file.isComplete(at: MonotonicTime(nanoseconds: 0))
        #expect(isOver)
        let read = try numbers(rig, "small/a.pcapng")
        #expect(read == Array(1...read.count) && read.count > 100)
        #expect(try rig.blocks("small/a.pcapng").last?.block == "packet")
        do throws(ApplianceError) {
            try file.close()
            Issue.record("it was closed as if it were whole")
        } catch { #expect(error == first) }
    }

    /// The error of a call that must fail.
    private func refusal(_ call: () throws(ApplianceError) -> Void) -> ApplianceError? {
        do throws(ApplianceError) {
            try call()
            return nil
        } catch { return error }
    }

    @Test("A reader that goes away ends the capture; one that does not read keeps it only until it is cancelled")
    func readers() throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        var file = try CaptureFile(to: .descriptor(ends[1], name: "standard output"), section)
        close(ends[0])
        try file.add(packet(1))
        let gone = refusal { () throws(ApplianceError) in try file.flush() }
        let isGone = file.isReaderGone
        #expect(gone?.message.contains("the reader of standard output has ended") == true && isGone)
        close(ends[1])

        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let asked = Asked()
        var stalled = try CaptureFile(
            to: .descriptor(ends[1], name: "standard output"), section, isCancelled: { asked.again() > 40 })
        let cancelled = refusal { () throws(ApplianceError) in
            for number in 1...10_000 { try stalled.add(packet(number, payload: 1_400)) }
        }
        let isStalledGone = stalled.isReaderGone
        #expect(cancelled?.message.contains("was not read") == true && !isStalledGone)
    }

    /// Counts how often it was asked.
    private final class Asked: @unchecked Sendable {
        private var count = 0
        func again() -> Int {
            count += 1
            return count
        }
    }

    @Test("A path that cannot be written is told with the kernel's words")
    func badPath() throws {
        let rig = try CaptureRig()
        let none = try #require(throws: ApplianceError.self) {
            _ = try CaptureFile(to: .file(CapturePath(rig.path("none/a"))), section)
        }
        #expect(none.message == "cannot write \(rig.path("none/a")): No such file or directory")
        try #require(symlink("/dev/null", rig.path("link")) == 0)
        #expect(throws: ApplianceError.self) {
            _ = try CaptureFile(to: .file(CapturePath(rig.path("link"), followsLinks: false)), section)
        }
    }

    @Test("Of a key log, whole lines of the format are taken, once")
    func keyLog() throws {
        let rig = try CaptureRig()
        var keys = KeyLogFile(rig.path("keys"))
        #expect(keys.newLines().isEmpty)
        let good = "CLIENT_TRAFFIC_SECRET_0 00aaFF 1122\n"
        try rig.write(
            Array((good + "# a comment\nlower 00 11\nNO_HEX 0g 11\nODD 000 11\nA 00\n\u{1B}[2J 00 11\n").utf8), "keys")
        #expect(String(decoding: keys.newLines(), as: UTF8.self) == good)
        #expect(keys.newLines().isEmpty)
        let handle = try #require(FileHandle(forWritingAtPath: rig.path("keys")))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("CLIENT_RANDOM 0".utf8))
        #expect(keys.newLines().isEmpty)
        try handle.write(contentsOf: Data("0 11\r\n".utf8 + [UInt8](repeating: 65, count: 5_000) + "\nB 00 11\n".utf8))
        #expect(String(decoding: keys.newLines(), as: UTF8.self) == "CLIENT_RANDOM 00 11\nB 00 11\n")
        try handle.truncate(atOffset: 0)
        try handle.seek(toOffset: 0)
        try handle.write(contentsOf: Data("C 00 11\n".utf8))
        #expect(String(decoding: keys.newLines(), as: UTF8.self) == "C 00 11\n")
        // What is no file is not opened for long, and no link is followed.
        try #require(mkfifo(rig.path("fifo"), 0o600) == 0 && symlink(rig.path("keys"), rig.path("link")) == 0)
        for name in ["fifo", "link"] {
            var none = KeyLogFile(rig.path(name))
            #expect(none.newLines().isEmpty)
        }
    }

    @Test("The clock of a capture is the wall clock at its beginning")
    func clock() {
        func now(_ clock: clockid_t) -> UInt64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        }
        let before = now(CLOCK_REALTIME)
        let clock = CaptureClock()
        let time = clock.nanoseconds(MonotonicTime(nanoseconds: now(CLOCK_MONOTONIC)))
        let after = now(CLOCK_REALTIME)
        // The clocks may drift apart by NTP, by less than a millisecond in that time.
        #expect(time + 1_000_000 > before && time < after + 1_000_000)
    }
}
