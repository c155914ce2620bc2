import Forwarding
import Wire

// The impaired links of one moment, in sealed memory that an engine maps. All of it consists of whole numbers in the machine's
// order, and both ends are of the same build:
//
//     octet  0  magic, version, number of rules, of matches, of delays, of interfaces (UInt64 each)
//           48  for each interface, to the nodes and from them: the first match and how many (UInt32 each)
//            …  matches (ImpairmentMatch), the most specific first
//            …  rules (SlottedRule)
//            …  delays of the traces, in nanoseconds (UInt64 each)

/// One kind of frames that crosses a link.
struct ImpairmentMatch: BitwiseCopyable {
    enum Kind {
        static let everything: UInt8 = 0
        static let station: UInt8 = 1
        static let service: UInt8 = 2
    }

    /// An address, or a MAC address in `low`.
    var high: UInt64 = 0
    var low: UInt64 = 0
    /// The rule.
    var rule: UInt32 = 0
    var lowest: UInt16 = 0
    var highest: UInt16 = .max
    var kind = Kind.everything
    /// `AddressFamily`.
    var family: UInt8 = 4
    var prefixLength: UInt8 = 0
    var protocolNumber: UInt8 = 0
    /// 1: any protocol.
    var anyProtocol: UInt8 = 1
    var unused: (UInt8, UInt8, UInt8) = (0, 0, 0)

    init(_ match: ImpairedPlace.Match, rule: Int) {
        self.rule = UInt32(clamping: rule)
        switch match {
        case .everything: break
        case .station(let mac):
            kind = Kind.station
            low = mac.bits
        case .service(let prefix, let number, let ports):
            kind = Kind.service
            (high, low) = (prefix.address.high, prefix.address.low)
            family = prefix.address.family.rawValue
            prefixLength = UInt8(clamping: prefix.length)
            if let number { (protocolNumber, anyProtocol) = (number, 0) }
            (lowest, highest) = (ports.lowerBound, ports.upperBound)
        }
    }

    /// True if one end of the flow is the service.
    @inline(__always)
    func isService(_ flow: FlowFields) -> Bool {
        guard anyProtocol == 1 || flow.protocolNumber == protocolNumber else { return false }
        return isEnd(flow.destination, flow.hasPorts ? flow.destinationPort : nil)
            || isEnd(flow.source, flow.hasPorts ? flow.sourcePort : nil)
    }

    @inline(__always)
    private func isEnd(_ address: IPAddress, _ port: UInt16?) -> Bool {
        guard address.family.rawValue == family else { return false }
        let masked = address.masked(to: Int(prefixLength))
        guard masked.high == high, masked.low == low else { return false }
        // Later fragments have no ports.
        guard let port else { return true }
        return port >= lowest && port <= highest
    }
}

/// A rule, and where it counts.
package struct SlottedRule: BitwiseCopyable {
    package var rule: ImpairmentRule
    package var slot: UInt64
}

/// The impaired links of one moment, as the engine reads them: checked once, in memory that nobody changes.
///
/// The memory stays the caller's, and must outlive the value.
public struct ImpairmentSet: @unchecked Sendable {
    private static let magic: UInt64 = 0x5441_504C_494D_5052  // "TAPLIMPR"
    private static let version: UInt64 = 1
    private static let headerLength = 48
    /// The octets that each worker of an engine maps for frames that wait.
    public static let storeSize = ImpairedTraffic.memorySize
    /// The most links.
    public static let mostRules = 1_024
    private static let mostMatches = 65_536

    /// How many links there are.
    package let count: Int
    /// How many interfaces there are.
    let interfaces: Int
    private let index: UnsafePointer<(first: UInt32, count: UInt32)>
    private let matches: UnsafePointer<ImpairmentMatch>
    private let rules: UnsafePointer<SlottedRule>
    /// The delays of all traces.
    package let trace: UnsafePointer<UInt64>

    /// The memory's contents for these links.
    ///
    /// - Parameter interfaces: How many interfaces the engine has.
    /// - Throws: `EngineError` if there are too many links.
    public static func bytes(_ links: [ImpairedLinkOrder], interfaces: Int) throws(EngineError) -> [UInt8] {
        var trace: [UInt64] = []
        var rules: [SlottedRule] = []
        var matches = [[(specificity: Int, match: ImpairmentMatch)]](repeating: [], count: interfaces * 2)
        for (number, link) in links.enumerated() {
            rules.append(
                SlottedRule(
                    rule: ImpairmentRule(
                        link.impairment, stream: link.stream, epoch: link.epoch, tracePlace: trace.count),
                    slot: UInt64(clamping: link.slot)))
            trace += link.impairment.trace.map(ImpairmentRule.nanoseconds)
            for place in link.places where place.interface < interfaces {
                matches[place.interface * 2 + Int(place.direction.rawValue)].append(
                    (place.specificity, ImpairmentMatch(place.match, rule: number)))
            }
        }
        let total = matches.reduce(0) { $0 + $1.count }
        guard links.count <= mostRules, total <= mostMatches else {
            throw EngineError(
                "impair links", because: "there are \(links.count) of \(total) kinds of frames, which is too many")
        }
        var bytes: [UInt8] = []
        func put<Value: BitwiseCopyable>(_ value: Value) {
            withUnsafeBytes(of: value) { raw in
                bytes += raw
                bytes += [UInt8](repeating: 0, count: MemoryLayout<Value>.stride - raw.count)
            }
        }
        for number in [magic, version, UInt64(rules.count), UInt64(total), UInt64(trace.count), UInt64(interfaces)] {
            put(number)
        }
        var first = 0
        for place in matches {
            put(UInt32(first))
            put(UInt32(place.count))
            first += place.count
        }
        for place in matches {
            // Of equal ones the first stays the first.
            for rank in stride(from: 2, through: 0, by: -1) {
                for found in place where found.specificity == rank { put(found.match) }
            }
        }
        for rule in rules { put(rule) }
        for delay in trace { put(delay) }
        return bytes
    }

    /// Checks the memory. Nothing of it is checked again.
    ///
    /// - Parameters:
    ///   - memory: Aligned to 8.
    ///   - interfaces: How many interfaces the engine has.
    /// - Throws: `EngineError` that names what is wrong.
    public init(validating memory: UnsafeRawBufferPointer, interfaces: Int) throws(EngineError) {
        func fault(_ what: String) -> EngineError { EngineError("impair links", because: what) }
        guard memory.count >= Self.headerLength, let base = memory.baseAddress,
            memory.load(as: UInt64.self) == Self.magic,
            memory.load(fromByteOffset: 8, as: UInt64.self) == Self.version
        else { throw fault("their memory is of another version") }
        func number(_ place: Int) -> Int {
            Int(clamping: memory.load(fromByteOffset: place * 8, as: UInt64.self))
        }
        let (count, total, delays) = (number(2), number(3), number(4))
        let mostDelays = Self.mostRules * Impairment.longestTrace
        guard count <= Self.mostRules, total <= Self.mostMatches, delays <= mostDelays, number(5) == interfaces,
            interfaces <= 4_096
        else { throw fault("there are \(count) of them on \(number(5)) interfaces") }
        let indexEnd = Self.headerLength + interfaces * 16
        let matchesEnd = indexEnd + total * MemoryLayout<ImpairmentMatch>.stride
        let rulesEnd = matchesEnd + count * MemoryLayout<SlottedRule>.stride
        guard memory.count == rulesEnd + delays * 8 else { throw fault("their memory has another size") }
        self.count = count
        self.interfaces = interfaces
        index = (base + Self.headerLength).assumingMemoryBound(to: (first: UInt32, count: UInt32).self)
        matches = (base + indexEnd).assumingMemoryBound(to: ImpairmentMatch.self)
        rules = (base + matchesEnd).assumingMemoryBound(to: SlottedRule.self)
        trace = (base + rulesEnd).assumingMemoryBound(to: UInt64.self)
        for place in 0..<interfaces * 2 {
            guard Int(index[place].first) + Int(index[place].count) <= total else {
                throw fault("an interface has matches outside of their memory")
            }
        }
        for place in 0..<total {
            guard matches[place].rule < count, matches[place].kind <= ImpairmentMatch.Kind.service,
                matches[place].prefixLength <= 128
            else { throw fault("a match names a rule that is not there") }
        }
        for place in 0..<count {
            guard rules[place].slot < Self.mostRules else { throw fault("a rule counts outside of their memory") }
            if let wrong = rules[place].rule.fault(traces: delays) { throw fault(wrong) }
        }
        let most = ImpairmentRule.nanoseconds(Impairment.longestDelay)
        for place in 0..<delays where trace[place] > most { throw fault("a delay is too long") }
    }

    /// The rule at a place below `count`.
    package func rule(_ place: Int) -> SlottedRule { rules[place] }

    /// True if anything is done to frames of this interface in this direction.
    @inline(__always)
    package func impairs(_ direction: ImpairedPlace.Direction, _ interface: Int) -> Bool {
        interface < interfaces && index[interface &* 2 &+ Int(direction.rawValue)].count > 0
    }

    /// The rule for a frame; -1: none.
    ///
    /// - Parameter headers: The Ethernet header and what follows it, as far as a flow needs it.
    package func rule(_ direction: ImpairedPlace.Direction, _ interface: Int, _ headers: UnsafeRawBufferPointer) -> Int
    {
        guard interface < interfaces, let start = headers.baseAddress, headers.count >= EthernetView.length else {
            return -1
        }
        let range = index[interface &* 2 &+ Int(direction.rawValue)]
        let ends = EthernetAddresses(of: start)
        let station = (direction == .toNodes ? ends.destination : ends.source).bits
        var flow = FlowFields()
        var isRead = false
        var hasFlow = false
        for place in 0..<Int(range.count) {
            let match = matches + (Int(range.first) &+ place)
            switch match.pointee.kind {
            case ImpairmentMatch.Kind.service:
                if !isRead {
                    isRead = true
                    if let found = FlowFields(ofHeaders: headers.bytes) { (flow, hasFlow) = (found, true) }
                }
                if hasFlow, match.pointee.isService(flow) { return Int(match.pointee.rule) }
            case ImpairmentMatch.Kind.station:
                if match.pointee.low == station { return Int(match.pointee.rule) }
            default:
                return Int(match.pointee.rule)
            }
        }
        return -1
    }
}
