import Testing
import Wire

@testable import Appliance
@testable import Verification

/// Which of the frames that carry a probe's octets go there, and which come back.
@Suite struct ProbeDirectionTests {
    private func ends(_ source: String, _ sourcePort: UInt16, _ destination: String, _ port: UInt16) -> ProbeEnds {
        ProbeEnds(
            source: IPAddress(source)!, destination: IPAddress(destination)!, sourcePort: sourcePort,
            destinationPort: port)
    }

    @Test(
        "frames in the order of their times; true: an answer",
        arguments: [
            // Untouched, there and back; and the probe once more.
            [("192.0.2.2", 20_000, "203.0.113.7", 7, false), ("203.0.113.7", 7, "192.0.2.2", 20_000, true)],
            // The destination rewritten, and the answer's source back.
            [
                ("192.0.2.2", 20_000, "198.18.4.2", 7, false), ("198.18.4.2", 7, "192.0.2.2", 20_000, true),
                ("203.0.113.7", 7, "192.0.2.2", 20_000, true), ("192.0.2.2", 20_000, "203.0.113.7", 7, false),
            ],
            // A translator that takes another port; the server sees it alone.
            [
                ("198.18.3.1", 4242, "203.0.113.7", 7, false), ("203.0.113.7", 7, "198.18.3.1", 4242, true),
                ("203.0.113.7", 7, "192.0.2.2", 20_000, true),
            ],
            // A proxy with a connection of its own, to another port.
            [
                ("198.18.4.9", 4242, "198.18.5.2", 7007, false), ("198.18.5.2", 7007, "198.18.4.9", 4242, true),
                ("203.0.113.7", 7, "192.0.2.2", 20_000, true),
            ],
            // An answer from an address that the probe was never sent to.
            [("198.18.4.77", 7, "192.0.2.2", 20_000, true)],
        ])
    func ports(_ frames: [(String, UInt16, String, UInt16, Bool)]) {
        var direction = ProbeDirection(ends("192.0.2.2", 20_000, "203.0.113.7", 7))
        for (source, sourcePort, destination, port, isAnswer) in frames {
            let judged = direction.isAnswer(ends(source, sourcePort, destination, port))
            #expect(judged == isAnswer)
        }
    }

    @Test("where both ports are the same, and where there are none, the addresses tell")
    func addresses() {
        for port: UInt16 in [7, 0] {
            var direction = ProbeDirection(ends("192.0.2.2", port, "203.0.113.7", port))
            let judged = [
                direction.isAnswer(ends("192.0.2.2", port, "198.18.4.2", port)),
                direction.isAnswer(ends("198.18.4.2", port, "192.0.2.2", port)),
                direction.isAnswer(ends("203.0.113.7", port, "192.0.2.2", port)),
            ]
            #expect(judged == [false, true, true])
        }
    }

    @Test("an ICMP error about an answer is none about the probe")
    func quotes() {
        let direction = ProbeDirection(ends("192.0.2.2", 20_000, "203.0.113.7", 7))
        #expect(direction.quotesAnswer(ends("203.0.113.7", 7, "192.0.2.2", 20_000)))
        #expect(!direction.quotesAnswer(ends("192.0.2.2", 20_000, "203.0.113.7", 7)))
    }
}
