import Forwarding
import Glibc
import Plan
import Testing
import Wire

/// Captures in, the expected captures out. To add a case, or after a change that is meant: `make-inputs.py`, then
/// `TAPLINE_GOLDEN=write swift test --filter GoldenTests`, then read what `git diff` and tshark say of the captures.
@Suite struct GoldenTests {
    private static let writes = getenv("TAPLINE_GOLDEN").map { String(cString: $0) } == "write"

    @Test func thereAreCases() {
        #expect(GoldenCase.all.count >= 13)
    }

    @Test(arguments: GoldenCase.all)
    func comesOutAsExpected(_ golden: GoldenCase) throws {
        let plan = try golden.plan()
        let (captures, drops) = try golden.run(plan)
        if Self.writes {
            for (interface, capture) in zip(plan.interfaces, captures) {
                try capture.write(to: golden.outputPath(interface.name))
            }
            try golden.write(drops: drops)
        }
        #expect(try golden.expectedDrops() == drops, "\(golden.name): the drops")
        var isDifferent = false
        for (interface, actual) in zip(plan.interfaces, captures) {
            let expected = try Capture(path: golden.outputPath(interface.name), actual.link)
            if let difference = Self.difference(expected, actual) {
                Issue.record("\(golden.name), interface \(interface.name): \(difference)")
                isDifferent = true
            }
        }
        // What came stands beside what was expected for as long as they differ.
        for (interface, actual) in zip(plan.interfaces, captures) {
            try (isDifferent ? actual : Capture()).write(to: golden.actualPath(interface.name))
        }
    }

    private static func difference(_ expected: Capture, _ actual: Capture) -> String? {
        for (index, pair) in zip(expected.frames, actual.frames).enumerated() where pair.0 != pair.1 {
            guard pair.0.bytes != pair.1.bytes else { return "frame \(index + 1) comes at another time" }
            return "frame \(index + 1)\n" + FrameText.difference(expected: pair.0.bytes, actual: pair.1.bytes)
        }
        let (wanted, came) = (expected.frames.count, actual.frames.count)
        guard wanted != came else { return nil }
        let odd = wanted > came ? expected.frames[came] : actual.frames[wanted]
        return "\(wanted) frames were expected and \(came) came; \(wanted > came ? "missing" : "too many"): "
            + FrameText.summary(odd.bytes)
    }

    /// Wireshark, which has none of this code, finds nothing malformed in what is expected, and every checksum right.
    @Test func tsharkAgrees() throws {
        var captures: [UInt32: Capture] = [:]
        var places: [UInt32: [String]] = [:]
        var circuits: [Encapsulation] = []
        for golden in GoldenCase.all {
            let plan = try golden.plan()
            // What arrives is copied as it arrives: such a case's input has wrong checksums on purpose.
            guard plan.table.mirrors.isEmpty else { continue }
            circuits += plan.table.interfaces.compactMap { $0.circuit?.encapsulation }
            for interface in plan.interfaces {
                let capture = try Capture(path: golden.outputPath(interface.name), interface.link ?? .ethernet)
                for (index, frame) in capture.frames.enumerated() {
                    // Each frame by itself: most of those in a capture with offload headers need none.
                    let type = Capture([frame], capture.link).linkType
                    captures[type, default: Capture([], capture.link)].frames.append(frame)
                    places[type, default: []].append("\(golden.name)/out-\(interface.name).pcap, frame \(index + 1)")
                }
            }
        }
        #expect(captures.keys.sorted() == [1, 107, 123, 147])
        for (type, capture) in captures {
            let rows = try Wireshark.judge(capture, circuits)
            #expect(rows.count == capture.frames.count && !rows.isEmpty, "tshark read \(rows.count) frames")
            for (place, row) in zip(places[type] ?? [], rows) {
                #expect(!row.isMalformed, "\(place) is malformed")
                #expect(row.wrongChecksums.isEmpty, "\(place) has wrong checksums: \(row.wrongChecksums)")
            }
            #expect(rows.contains { $0.rightChecksums > 0 }, "tshark verified no checksum")
        }
    }
}
