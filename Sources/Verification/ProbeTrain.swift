import Plan
import Tracing
import Wire

/// Numbered packets of one sender, each known wherever its trace is told: of TCP by its sequence number, of all others by
/// their payload.
struct ProbeTrain: Sendable {
    let plan: ProbeTrainPlan
    /// How many packets are sent with one flow before the next has its turn; 0: the flows take turns.
    private let block: Int
    /// Octets that no other train's payload begins with; the first four, of TCP, are the first sequence number.
    private let token: UInt64
    private let firstPort: UInt16

    /// The source ports that packets are sent from: those that the kernel does not give to programs.
    private static let sourcePorts = 20_000..<32_000

    /// - Parameter count: How many packets there are; nil if nobody knows.
    init(_ plan: ProbeTrainPlan, count: Int?) {
        self.plan = plan
        block = count.map { max(1, ($0 + plan.flows - 1) / plan.flows) } ?? 0
        token = UInt64.random(in: 1...UInt64.max)
        firstPort = UInt16(
            Int.random(in: Self.sourcePorts.lowerBound...Self.sourcePorts.upperBound - plan.flows))
    }

    private var isTCP: Bool { plan.packet.protocolNumber == IPProtocol.tcp }

    /// The flow of a packet.
    func flow(of number: Int) -> Int { block > 0 ? number / block : number % plan.flows }

    /// A packet from its network header on.
    func octets(of number: Int) -> [UInt8] {
        let packet = plan.packet
        let flow = UInt16(truncatingIfNeeded: flow(of: number))
        let echo = UInt32(firstPort &+ flow) << 16 | UInt32(truncatingIfNeeded: number & 0xFFFF)
        let word = isTCP ? sequence(of: number) : echo
        return ProbePacket(
            source: packet.source, destination: packet.destination, protocolNumber: packet.protocolNumber,
            port: packet.port, sourcePort: firstPort &+ flow, payload: isTCP ? [] : payload(of: number),
            size: packet.size, hopLimit: packet.hopLimit, dontFragment: packet.dontFragment, number: word
        ).octets
    }

    private func sequence(of number: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: token) &+ UInt32(truncatingIfNeeded: number) &* Self.stride
    }

    /// From one sequence number to the next: odd, so that all are different.
    private static let stride: UInt32 = 0x9E37_79B1

    private func payload(of number: Int) -> [UInt8] {
        let second = UInt64(number)
        return [token, second].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
    }

    /// The mark by which a packet's trace is known.
    func mark(of number: Int) -> UInt64 {
        guard !isTCP else { return UInt64(sequence(of: number)) }
        let packet = plan.packet
        let payload = payload(of: number)
        let headers = ProbePacket.headerLength(packet.destination.family, packet.protocolNumber)
        let filled = max(0, (packet.size ?? 0) - headers - payload.count)
        return PayloadDigest.of(payload + Array(repeating: 0, count: min(filled, PayloadDigest.octets)))
    }

    /// The mark of a trace; nil if it can be none of a train's packets.
    func mark(of trace: PacketTrace) -> UInt64? {
        guard isTCP else { return trace.digest }
        return trace.packet.detail == "SYN" ? trace.packet.sequence.map(UInt64.init) : nil
    }

    /// The expression that matches the packets, their answers and errors about them, in the language of pcap-filter. The
    /// packets match at every hop, whatever addresses and ports they have there.
    var filter: String {
        let packet = plan.packet
        let ends = "host \(packet.source) and host \(packet.destination)"
        let isFour = packet.destination.family == .ipv4
        let control = isFour ? "icmp" : "icmp6"
        let errors = "(\(control) and host \(packet.source))"
        switch packet.protocolNumber {
        case IPProtocol.tcp:
            // First segments, and refusals of them. The numbers of the packets are not in any order.
            let first = isFour ? "tcp[13] & 6 != 0" : "(ip6[6] = 6 and ip6[53] & 6 != 0)"
            return "(\(ends) and tcp port \(packet.port)) or \(first) or \(errors)"
        case IPProtocol.udp: return "(\(ends) and udp port \(packet.port)) or \(carrying("udp")) or \(errors)"
        case IPProtocol.icmp, IPProtocol.icmpv6: return "\(errors) or \(carrying("icmp"))"
        default: return "(\(ends)) or \(errors)"
        }
    }

    /// The beginning of the payload, which is the same in all packets, behind eight octets of transport header.
    private func carrying(_ name: String) -> String {
        let isFour = plan.packet.destination.family == .ipv4
        let (place, start) = isFour ? (name, 8) : ("ip6", 48)
        let words = [(start, token >> 32), (start + 4, token & 0xFFFF_FFFF)].map { "\(place)[\($0):4] = \($1)" }
        let header = isFour ? [] : ["ip6[6] = \(plan.packet.protocolNumber)"]
        return "(\((header + words).joined(separator: " and ")))"
    }
}
