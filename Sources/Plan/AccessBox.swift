import Forwarding
import Wire

/// A set of packets as rules see them: every combination of four ranges. Packets of one family alone.
///
/// Later fragments are not in it: nothing can be done with them alone.
struct AccessBox: Equatable {
    /// The own address.
    var own: ClosedRange<UInt128>
    /// The other address.
    var remote: ClosedRange<UInt128>
    /// The protocol, and behind it 16 bits with the own port or the ICMP type.
    var upper: ClosedRange<UInt32>
    /// The other port.
    var remotePort: ClosedRange<UInt32>

    private static let everyPort: ClosedRange<UInt32> = 0...65535

    private static func upper(_ number: UInt8, _ values: ClosedRange<UInt16>) -> ClosedRange<UInt32> {
        let base = UInt32(number) << 16
        return base | UInt32(values.lowerBound)...base | UInt32(values.upperBound)
    }

    /// The sets that a rule matches.
    static func of(_ rule: AccessRule) -> [AccessBox] {
        let own = rule.own.numbers
        let remote = (rule.remote ?? .everything(rule.own.family)).numbers
        func box(_ upper: ClosedRange<UInt32>, _ remotePort: ClosedRange<UInt32> = everyPort) -> AccessBox {
            AccessBox(own: own, remote: remote, upper: upper, remotePort: remotePort)
        }
        switch rule.matter {
        case .any: return [box(0...upper(255, 0...65535).upperBound)]
        case .protocolNumber(let number): return [box(upper(number, 0...65535))]
        case .ports(let number, let own, let remote):
            return [box(upper(number, own), UInt32(remote.lowerBound)...UInt32(remote.upperBound))]
        case .icmp(let type):
            let number = rule.own.family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6
            return AccessRule.types(type, rule.own.family).map {
                // Types have 8 bits. The last one stands for the rest, so that all of them together are the protocol.
                box(upper(number, UInt16($0)...($0 == 255 ? 65535 : UInt16($0))))
            }
        }
    }

    /// The same packets seen from the other end. Between two own addresses, a rule matches in either direction.
    var mirrored: AccessBox {
        let low = upper.lowerBound & 0xFFFF, high = upper.upperBound & 0xFFFF
        let number = upper.lowerBound >> 16
        // Several protocols, or no ports: both sides are alike.
        guard number == upper.upperBound >> 16, IPProtocol.hasPorts(UInt8(truncatingIfNeeded: number)) else {
            return AccessBox(own: remote, remote: own, upper: upper, remotePort: remotePort)
        }
        return AccessBox(
            own: remote, remote: own,
            upper: number << 16 | remotePort.lowerBound...number << 16 | remotePort.upperBound,
            remotePort: low...high)
    }

    func overlaps(_ other: AccessBox) -> Bool {
        own.overlaps(other.own) && remote.overlaps(other.remote) && upper.overlaps(other.upper)
            && remotePort.overlaps(other.remotePort)
    }

    /// What is left without another set: sets that share no packet, at most eight.
    func subtracting(_ other: AccessBox) -> [AccessBox] {
        guard overlaps(other) else { return [self] }
        var rest = self
        var left: [AccessBox] = []
        func cut<Number: FixedWidthInteger>(_ side: WritableKeyPath<AccessBox, ClosedRange<Number>>) {
            let (mine, theirs) = (rest[keyPath: side], other[keyPath: side])
            if mine.lowerBound < theirs.lowerBound {
                var part = rest
                part[keyPath: side] = mine.lowerBound...theirs.lowerBound - 1
                left.append(part)
            }
            if mine.upperBound > theirs.upperBound {
                var part = rest
                part[keyPath: side] = theirs.upperBound + 1...mine.upperBound
                left.append(part)
            }
            rest[keyPath: side] = max(mine.lowerBound, theirs.lowerBound)...min(mine.upperBound, theirs.upperBound)
        }
        cut(\.upper)
        cut(\.own)
        cut(\.remote)
        cut(\.remotePort)
        return left
    }
}

/// Which rules of a list can never match, because rules before them take all their packets, one alone or several together.
struct AccessShadows {
    /// How many comparisons of two sets a whole list gets. Rules behind that are not looked at.
    static let mostSteps = 1 << 21
    /// How many sets what is left of a rule may be. If it becomes more, the rule counts as one that may match.
    static let mostPieces = 256

    private struct Known {
        var source: Int
        var family: AddressFamily
        var boxes: [AccessBox]
    }

    private var steps = 0

    /// For each rule of the record that can never match, the rules that take its packets.
    mutating func find(_ list: AccessList, _ sources: [Int], count: Int) -> [(rule: Int, by: [Int])] {
        var known: [Known] = []
        var found: [(rule: Int, by: [Int])] = []
        var next = list.rules.startIndex
        for index in 0..<count {
            let first = next
            while next < list.rules.endIndex, sources[next] == index { next += 1 }
            let own = list.rules[first..<next]
            var by: Set<Int> = []
            if !own.isEmpty, own.allSatisfy({ covers($0, known, &by) }) { found.append((index, by.sorted())) }
            known += own.map { rule in
                let boxes = AccessBox.of(rule)
                return Known(source: index, family: rule.own.family, boxes: boxes + boxes.map(\.mirrored))
            }
            if steps > Self.mostSteps { break }
        }
        return found
    }

    /// True if all packets of a rule are those of rules before it.
    ///
    /// - Parameter by: Gets the rules that take some of them.
    private mutating func covers(_ rule: AccessRule, _ known: [Known], _ by: inout Set<Int>) -> Bool {
        let whole = AccessBox.of(rule)
        // One rule that takes all of them is told alone.
        for other in known where other.family == rule.own.family {
            steps += whole.count
            guard whole.allSatisfy({ box in other.boxes.contains { box.subtracting($0).isEmpty } }) else { continue }
            by.insert(other.source)
            return true
        }
        var left = whole
        var takers: Set<Int> = []
        for other in known where other.family == rule.own.family {
            for box in other.boxes where left.contains(where: box.overlaps) {
                steps += left.count
                left = left.flatMap { $0.subtracting(box) }
                takers.insert(other.source)
                guard left.count <= Self.mostPieces, steps <= Self.mostSteps else { return false }
            }
            steps += left.count
            if left.isEmpty {
                by.formUnion(takers)
                return true
            }
        }
        return false
    }
}
