/// The random numbers of one impaired link. The number for a packet follows from the seed, the stage and the packet's place
/// in the sequence alone. So an added stage does not change which packets another stage picks.
///
/// Each stage is a SplitMix64 sequence (Steele, Lea, Flood, 2014), of which any element can be computed.
struct ImpairmentNumbers {
    /// What a number decides about.
    enum Stage: UInt64 {
        case loss = 1
        case state
        case duplicate
        case corrupt
        case place
        case jitter
        case reorder
    }

    private let base: UInt64
    private static let step: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// - Parameters:
    ///   - seed: The file's.
    ///   - stream: Tells links with the same seed apart.
    init(seed: UInt64, stream: UInt64) { base = Self.mix(Self.mix(seed) ^ stream) }

    @inline(__always)
    static func mix(_ number: UInt64) -> UInt64 {
        var mixed = number
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// The number of a stage for a packet: all 2^64 are equally likely.
    @inline(__always)
    func number(_ stage: Stage, _ packet: UInt64) -> UInt64 {
        Self.mix(Self.mix(base &+ stage.rawValue &* 0xD1B5_4A32_D192_ED03) &+ (packet &+ 1) &* Self.step)
    }

    /// True with a probability.
    ///
    /// - Parameter threshold: `Probability.threshold`.
    @inline(__always)
    func says(_ stage: Stage, _ packet: UInt64, _ threshold: UInt64) -> Bool {
        threshold != 0 && number(stage, packet) >> 1 < threshold
    }

    /// A whole number below `limit`, each as likely as every other, but for less than `limit` in 2^64.
    @inline(__always)
    func below(_ limit: UInt64, _ stage: Stage, _ packet: UInt64) -> UInt64 {
        number(stage, packet).multipliedFullWidth(by: limit).high
    }
}
