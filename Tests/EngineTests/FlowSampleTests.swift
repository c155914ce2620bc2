import EngineRig
import Testing
import Wire

@testable import Engine

/// A share of all flows is taken by the flow alone.
@Suite struct FlowSampleTests {
    typealias F = TestFrame
    let four = FourInterfaces.self

    /// What is written may be in two parts, with the payload in the second: it belongs to the same flow.
    @Test func theHeadersAloneDecideAsTheWholeFrameDoes() {
        for ignoresAddresses in [false, true] {
            let sample = FlowSample(oneIn: 3, ignoresAddresses: ignoresAddresses)
            var taken = 0
            for flow in 0..<3_000 {
                let payload = Array(repeating: UInt8(flow & 255), count: 40 + flow * 37 % 900)
                let number = flow % 200 + 1
                let ends =
                    flow % 3 == 0
                    ? ("2001:db8:2::\(number)", "2001:db8:cb::80") : ("192.0.2.\(number)", "203.0.113.80")
                let frames = [
                    F.frame(
                        F.tcp(ends.0, 1_024 + flow, ends.1, 80, payload: payload), from: four.alice, to: four.engine[0]),
                    F.frame(
                        F.udp(ends.1, 80, ends.0, 1_024 + flow, payload: payload), from: four.alice, to: four.engine[0]),
                ]
                for frame in frames {
                    let cut = VirtioNetHeader.length + [14, 20, 34, 54, 60][flow % 5]
                    let (whole, part, headers) = takes(sample, frame, cut)
                    #expect(whole == part && whole == headers)
                    if part { taken += 1 }
                }
            }
            #expect((1_500...2_500).contains(taken), "\(taken) of 6,000")
        }
    }

    /// What a sample says of a frame: in one part, in two parts, and by all its headers.
    private func takes(_ sample: FlowSample, _ frame: [UInt8], _ cut: Int) -> (whole: Bool, part: Bool, headers: Bool) {
        let octets = Array(repeating: UInt8(0), count: VirtioNetHeader.length) + frame
        return octets.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return (false, true, false) }
            let whole = CaptureParts(header: start, headerLength: bytes.count, body: start, bodyLength: 0)
            let part = CaptureParts(
                header: start, headerLength: cut, body: start + cut, bodyLength: bytes.count - cut)
            return (
                sample.takes(whole), sample.takes(part),
                sample.takes(headers: UnsafeRawBufferPointer(rebasing: bytes[VirtioNetHeader.length...]).bytes)
            )
        }
    }

    @Test func manyFlowsAreSampledInTheRightNumber() {
        for ignoresAddresses in [false, true] {
            let sample = FlowSample(oneIn: 64, ignoresAddresses: ignoresAddresses)
            var taken = 0
            for flow in 0..<20_000 {
                let frame = F.frame(
                    F.tcp("192.0.2.\(flow % 200 + 1)", 1_024 + flow, "203.0.113.80", 80), from: four.alice,
                    to: four.engine[0])
                if takes(sample, frame, 64).whole { taken += 1 }
            }
            // Expected are 312; six standard deviations are 106.
            #expect((206...418).contains(taken), "\(taken) of 20,000")
        }
    }

    /// Where ports are translated, a flow is decided alike in front of its service's port and behind it.
    @Test func aTranslatedFlowKeepsItsDecision() {
        let sample = FlowSample(oneIn: 4, ignoresAddresses: true, ignoresServicePorts: true)
        var taken = 0
        for client in 20_000..<24_000 {
            let frames = [
                F.tcp("192.0.2.10", client, "203.0.113.80", 80), F.tcp("192.0.2.10", client, "198.18.4.2", 8080),
                F.tcp("198.18.4.2", 8080, "192.0.2.10", client), F.tcp("203.0.113.80", 80, "192.0.2.10", client),
            ].map { takes(sample, F.frame($0, from: four.alice, to: four.engine[0]), 64).whole }
            #expect(Set(frames).count == 1)
            if frames[0] { taken += 1 }
        }
        // Expected are 1,000; six standard deviations are 164.
        #expect((836...1_164).contains(taken), "\(taken) of 4,000")
    }
}
