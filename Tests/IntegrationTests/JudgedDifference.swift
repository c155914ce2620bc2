import Foundation

extension Collection<UInt8> {
    /// As hexadecimal digits.
    var hexadecimal: String { map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

/// What a server answered. The epoch, which is a clock, is left out.
struct JudgedAnswer: Equatable {
    /// Empty: nothing.
    var octets: [UInt8]
    /// True if the server ended.
    var isEnd: Bool

    init(_ line: String) {
        isEnd = line == "!"
        let first = line.split(separator: " ").first.map(String.init) ?? ""
        let digits = Array(first.utf8)
        octets =
            line == "!" || line == "-"
            ? []
            : stride(from: 0, to: digits.count - 1, by: 2).map {
                UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16) ?? 0
            }
        let epoch = octets.first == 0 ? 4..<8 : 8..<12
        if octets.count >= epoch.upperBound { octets.replaceSubrange(epoch, with: [0, 0, 0, 0]) }
    }

    var text: String { isEnd ? "!" : octets.isEmpty ? "-" : octets.hexadecimal }
    var isNone: Bool { octets.isEmpty }
    var version: UInt8? { octets.first }
    /// The result of PCP.
    var result: UInt8? { octets.count >= 24 && version == 2 ? octets[3] : nil }
    func isPCP(_ result: UInt8) -> Bool { self.result == result }
    /// True for SUCCESS in either protocol.
    var isSuccess: Bool { octets.count >= 8 && octets[3] == 0 && octets[2] == 0 }
    /// The answer with another lifetime.
    func with(lifetime: UInt8) -> JudgedAnswer {
        var answer = self
        if octets.count >= 24 { answer.octets.replaceSubrange(4..<8, with: [0, 0, 0, lifetime]) }
        return answer
    }
    /// The service port in an answer to MAP.
    var port: UInt16? { octets.count >= 60 ? UInt16(octets[42]) << 8 | UInt16(octets[43]) : nil }
    /// The answer without the service port.
    var withoutPort: JudgedAnswer {
        var answer = self
        let place = version == 0 ? 10..<12 : 42..<44
        if octets.count >= place.upperBound { answer.octets.replaceSubrange(place, with: [0, 0]) }
        return answer
    }
    var lifetime: UInt32? { octets.count >= 24 ? octets[4..<8].reduce(0) { $0 << 8 | UInt32($1) } : nil }
}

/// A difference between Tapline's answers and those of miniupnpd 2.3.1, and what the RFC says of it.
struct JudgedDifference: Sendable {
    /// What is different.
    var name: String
    /// Where the RFC decides it.
    var place: String
    /// What it says there, in its words or shorter.
    var rule: String
    /// True for answers that differ in this way, and in no other.
    var holds: @Sendable (_ request: JudgedRequest, _ tapline: JudgedAnswer, _ miniupnpd: JudgedAnswer) -> Bool

    init(
        _ name: String, _ place: String, _ rule: String,
        _ holds:
            @escaping @Sendable (_ request: JudgedRequest, _ tapline: JudgedAnswer, _ miniupnpd: JudgedAnswer) ->
            Bool
    ) {
        (self.name, self.place, self.rule, self.holds) = (name, place, rule, holds)
    }

    /// The first that holds decides.
    static let all: [JudgedDifference] = [
        // Lengths and versions.
        JudgedDifference(
            "half a header", "RFC 6887, 8.2",
            "A request of a version that is supported and shorter than 24 octets is silently dropped."
        ) { request, tapline, _ in request.octets.first == 2 && request.octets.count < 24 && tapline.isNone },
        JudgedDifference(
            "a length that is no multiple of four", "RFC 6887, 8.2",
            "A message whose length is not a multiple of 4 octets is invalid, and a MALFORMED_REQUEST response is generated."
        ) { request, tapline, miniupnpd in
            request.isPCP && request.octets.count % 4 != 0 && tapline.isPCP(3) && miniupnpd.version == 0
        },
        JudgedDifference(
            "longer than 1,100 octets", "RFC 6887, 8.2",
            "A message of more than 1100 octets is invalid: MALFORMED_REQUEST, and the response is truncated to 1100 octets."
        ) { request, tapline, miniupnpd in
            request.isPCP && request.octets.count > 1100 && tapline.isPCP(3) && tapline.octets.count == 1100
                && miniupnpd.isPCP(6)
        },
        JudgedDifference(
            "MAP that is too short", "RFC 6887, 8.2",
            "A message that is too short for its opcode is invalid. The fields of the response are those of the request."
        ) { request, tapline, miniupnpd in
            request.isPCP && request.opcode == 1 && request.octets.count < 60 && tapline.isPCP(3) && miniupnpd.isPCP(3)
        },
        JudgedDifference(
            "a version that there is not", "RFC 6887, 9",
            "The response to a version that is not supported says UNSUPP_VERSION, and a version that is: \"This document "
                + "describes PCP version 2\" (7.4)."
        ) { request, tapline, miniupnpd in
            // miniupnpd says version 0 or the one that was asked, or nothing; version 1 it speaks.
            request.octets.first.map { $0 != 2 && $0 != 0 } == true && tapline.isPCP(1)
        },
        // ANNOUNCE.
        JudgedDifference(
            "the lifetime of ANNOUNCE", "RFC 6887, 14.1",
            "The lifetime of ANNOUNCE is 0 in both directions, and is ignored on reception."
        ) { request, tapline, miniupnpd in
            request.opcode == 0 && tapline.isPCP(0) && tapline.lifetime == 0
                && miniupnpd.with(lifetime: 0).octets.prefix(24) == tapline.octets[...]
        },
        JudgedDifference(
            "ANNOUNCE with a mandatory option", "RFC 6887, 7.3",
            "An option of the range 0 to 127 that the server does not understand for this opcode: UNSUPP_OPTION."
        ) { request, tapline, miniupnpd in
            request.opcode == 0 && request.octets.count > 24 && tapline.isPCP(5) && miniupnpd.isPCP(0)
        },
        // Options.
        JudgedDifference(
            "an option that is not understood is in the answer", "RFC 6887, 7.3",
            "An option of the range 128 to 255 that the server does not process is not in the response."
        ) { request, tapline, miniupnpd in
            request.options.allSatisfy { $0 >= 128 } && tapline.isPCP(0) && tapline.octets.count == 60
                && miniupnpd.octets.prefix(60) == tapline.octets[...]
        },
        JudgedDifference(
            "an option with padding", "RFC 6887, 7.3",
            "The length of an option is that of its data, which is padded to a multiple of 4 octets."
        ) { request, tapline, miniupnpd in
            request.options.allSatisfy { $0 >= 128 } && tapline.isPCP(0) && miniupnpd.isPCP(6)
        },
        JudgedDifference(
            "one's own address as a third party's", "RFC 6887, 13.1",
            "\"A PCP server receiving a THIRD_PARTY option specifying the same address as the source address of the packet "
                + "MUST return a MALFORMED_REQUEST result code.\""
        ) { request, tapline, miniupnpd in request.options == [1] && tapline.isPCP(3) && miniupnpd.isPCP(5) },
        JudgedDifference(
            "a third party without an address", "RFC 6887, 7.4",
            "UNSUPP_OPTION: an option of the mandatory range that is not supported, whatever is in it."
        ) { request, tapline, miniupnpd in request.options == [1] && tapline.isPCP(5) && miniupnpd.isPCP(6) },
        JudgedDifference(
            "a filter for less than a network of IPv4", "RFC 6887, 13.3",
            "Prefix lengths of IPv4 peers are from 96 to 128; others cause MALFORMED_OPTION."
        ) { request, tapline, miniupnpd in request.options == [3] && tapline.isPCP(6) && miniupnpd.isPCP(0) },
        // Mappings.
        JudgedDifference(
            "a protocol besides TCP and UDP, or all ports", "RFC 6887, 7.4",
            "\"UNSUPP_PROTOCOL: Unsupported transport protocol, e.g., SCTP in a NAT that handles only UDP and TCP.\""
        ) { request, tapline, miniupnpd in
            request.isMap && (![6, 17].contains(request.number) || request.internalPort == 0) && tapline.isPCP(9)
                && miniupnpd.isPCP(0)
        },
        JudgedDifference(
            "another nonce", "RFC 6887, 11.3",
            "A request for a mapping that exists, with another nonce, is refused: NOT_AUTHORIZED."
        ) { request, tapline, miniupnpd in
            request.kind == .otherNonce && tapline.isPCP(2) && miniupnpd.isPCP(0)
        },
        JudgedDifference(
            "an end of what there is not", "RFC 6887, 15.1",
            "A request to delete a mapping that does not exist is a success."
        ) { request, tapline, miniupnpd in
            request.isMap && request.lifetime == 0 && tapline.isPCP(0) && miniupnpd.isPCP(8)
        },
        JudgedDifference(
            "a port that the file does not give", "RFC 6887, 11.3; RFC 6886, 3.3",
            "A suggested port that cannot be had gives another one. (miniupnpd gives ports below 1024, which its rules forbid.)"
        ) { request, tapline, miniupnpd in
            (request.isMap ? (1..<1024).contains(request.suggestedPort ?? 0) : request.isNatPMP)
                && tapline.isSuccess && miniupnpd.isSuccess && tapline.withoutPort == miniupnpd.withoutPort
        },
        JudgedDifference(
            "a port that another mapping has", "RFC 6887, 11.3",
            "A suggested port that is in use gives another one. (miniupnpd gives it to the client's newest mapping.)"
        ) { request, tapline, miniupnpd in
            request.isMap && tapline.isPCP(0) && miniupnpd.isPCP(0) && tapline.withoutPort == miniupnpd.withoutPort
                && [request.suggestedPort, request.internalPort].contains(miniupnpd.port)
        },
        JudgedDifference(
            "PEER", "RFC 6887, 7.4",
            "\"UNSUPP_OPCODE: Unsupported Opcode.\" (Nothing is translated by state that a PEER could prolong.)"
        ) { request, tapline, miniupnpd in request.opcode == 2 && tapline.isPCP(4) && miniupnpd.isPCP(0) },
        // Errors.
        JudgedDifference(
            "NAT-PMP and the mappings of PCP", "RFC 6887, 11.3",
            "What was made with a nonce is ended with that nonce alone; a client of NAT-PMP has none."
        ) { request, tapline, miniupnpd in
            request.isNatPMP && tapline.octets.count == 16 && tapline.octets[3] == 2 && miniupnpd.isSuccess
                && request.octets[4..<6] == [0, 0]
        },
        JudgedDifference(
            "what is behind an error of NAT-PMP", "RFC 6886, 3.5",
            "The fields behind a result that is an error say nothing."
        ) { request, tapline, miniupnpd in
            request.isNatPMP && tapline.octets.count == 16 && tapline.octets[3] != 0
                && tapline.octets.prefix(8) == miniupnpd.octets.prefix(8)
        },
        JudgedDifference(
            "the lifetime of an error", "RFC 6887, 7.4",
            "\"It is RECOMMENDED that short lifetime errors use a 30-second lifetime and long lifetime errors use a 30-minute "
                + "lifetime.\" (None is 0. Tapline says 30 seconds for all, because a file can change at any time.)"
        ) { _, tapline, miniupnpd in
            tapline.result.map { $0 != 0 } == true && tapline.lifetime == 30 && miniupnpd.with(lifetime: 30) == tapline
        },
    ]
}
