import Wire

/// What may be seen next of a stage at a place, as one number.
///
/// Most of the time of a trace goes into looking packets up, so a key is made in few steps. The numbers are random for each
/// process: nobody can send packets that share one.
struct WaitingKey: Hashable {
    private let number: MixedNumber

    private init(_ place: UInt64, _ kind: UInt64, _ first: UInt64, _ second: UInt64 = 0) {
        number = MixedNumber(Mixed.number(Mixed.number(place, kind), Mixed.number(first, second)))
    }

    func _rawHashValue(seed: Int) -> Int { number._rawHashValue(seed: seed) }

    /// A flow.
    static func flow(_ place: WaitingPlace, _ flow: FlowFields) -> WaitingKey { WaitingKey(place.word, 1, flow.mixed) }

    /// Addresses, protocol and identification: for fragments. IPv6's identification does not count.
    static func datagram(_ place: WaitingPlace, _ flow: FlowFields, _ identification: UInt32) -> WaitingKey {
        WaitingKey(place.word, 2, flow.mixed, UInt64(identification))
    }

    /// What no translation changes.
    static func content(_ place: WaitingPlace, _ content: ContentKey) -> WaitingKey {
        WaitingKey(place.word, 3, content.mixed)
    }

    /// A datagram of a flow with its content.
    static func exact(_ place: WaitingPlace, _ flow: FlowFields, _ content: ContentKey) -> WaitingKey {
        WaitingKey(place.word, 4, flow.mixed, content.mixed)
    }

    /// A datagram of a flow with its identification: those with another one are less likely.
    static func numbered(_ place: WaitingPlace, _ flow: FlowFields, _ identification: UInt32) -> WaitingKey {
        WaitingKey(place.word, 5, flow.mixed, UInt64(identification))
    }

    /// The beginning of a datagram that an application may cut, or put together.
    static func start(_ place: WaitingPlace, _ start: TracedPacket.Start) -> WaitingKey {
        WaitingKey(place.word, 6, start.digest, UInt64(start.number) << 8 | UInt64(start.protocolNumber))
    }

    /// A datagram that an application may cut, or put together, whatever its addresses are then.
    static func cuttable(_ place: WaitingPlace, _ protocolNumber: UInt8) -> WaitingKey {
        WaitingKey(place.word, 7, UInt64(protocolNumber))
    }
}

/// Hashes of 64 bits, by numbers that are random for each process: two things with one hash are not to be expected.
enum Mixed {
    private static let first = UInt64.random(in: 1 ... .max) | 1
    private static let second = UInt64.random(in: 1 ... .max) | 1

    /// A hash of two numbers in their order.
    @inline(__always)
    static func number(_ one: UInt64, _ other: UInt64) -> UInt64 {
        let product = (one ^ first).multipliedFullWidth(by: other ^ second)
        return product.high ^ product.low ^ one
    }
}

/// A number of `Mixed` as a key. Tables take it as it is, because it is a hash already.
struct MixedNumber: Hashable {
    private let number: UInt64

    init(_ number: UInt64) { self.number = number }

    func hash(into hasher: inout Hasher) { hasher.combine(number) }

    func _rawHashValue(seed: Int) -> Int { Int(truncatingIfNeeded: number) ^ seed }
}

extension FlowFields {
    /// A hash of all fields; see `Mixed`.
    var mixed: UInt64 {
        let numbers =
            UInt64(source.family.rawValue) << 56 | UInt64(destination.family.rawValue) << 48
            | UInt64(protocolNumber) << 40 | UInt64(hasPorts ? 1 : 0) << 32 | UInt64(sourcePort) << 16
            | UInt64(destinationPort)
        var mixed = Mixed.number(source.low, destination.low)
        if source.high | destination.high != 0 {
            mixed = Mixed.number(mixed, Mixed.number(source.high, destination.high))
        }
        return Mixed.number(mixed, numbers)
    }
}

extension ContentKey {
    /// A hash of all fields; see `Mixed`.
    var mixed: UInt64 {
        Mixed.number(number, UInt64(kind) << 32 | UInt64(protocolNumber) << 24 ^ UInt64(truncatingIfNeeded: length))
    }
}
