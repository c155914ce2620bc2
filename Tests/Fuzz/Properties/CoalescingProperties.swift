import Engine
import Forwarding
import Wire

/// Whatever frames come in, in whatever order: with coalescing on every receiver gets, conversation by conversation,
/// exactly the packets that it gets with coalescing off, a passive application gets all of them in exactly that order,
/// and all counters are the same.
///
/// An input is a row of batches: an octet for the interface and one for the number of frames, and for each frame one
/// that chooses its flow, one for how it is odd, and what that takes.
public final class CoalescingProperties {
    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) { _ = try shared.coalesced(input) }

    nonisolated(unsafe) private static let shared = CoalescingProperties()

    private let on = FuzzedWorker(EngineTuning())
    private let off: FuzzedWorker

    /// Two workers, for one thread.
    public init() {
        var tuning = EngineTuning()
        tuning.coalesces = false
        off = FuzzedWorker(tuning)
    }

    /// How many frames of an input were coalesced with others.
    ///
    /// - Throws: What does not hold.
    public func coalesced(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) -> Int {
        let batches = batches(ByteChoices(input))
        let before = (counts(on), counts(off), on.reader.coalesced(), off.reader.coalesced())
        let (coalesced, plain) = (run(on, batches), run(off, batches))
        let passive = Set(on.table.sources.filter { $0.system == .passiveApplication }.map(\.mac.octets))
        let (first, second) = (try Receivers(coalesced, passive), try Receivers(plain, passive))
        let after = (counts(on), counts(off))
        let difference = zip(zip(after.0, before.0), zip(after.1, before.1)).enumerated().first {
            $1.0.0 &- $1.0.1 != $1.1.0 &- $1.1.1
        }
        if let difference {
            throw BrokenProperty(
                "counter \(difference.offset) (drops, interfaces, entries) differs: \(difference.element)")
        }
        try require(off.reader.coalesced() == before.3, "frames are coalesced although that is off")
        try first.compare(with: second)
        return Int(on.reader.coalesced() - before.2)
    }

    private func batches(_ choices: ByteChoices) -> [[MemoryFrameIO.Frame]] {
        var choices = choices
        var flows = NastyFlows(on)
        var batches: [[MemoryFrameIO.Frame]] = []
        while !choices.isUsedUp, batches.count < 8 {
            let interface = Int(choices.octet() & 3)
            // Fewer than the errors that may be sent at once: of more, the order of flows decides which are.
            let count = 1 + Int(choices.octet()) % 96
            batches.append(
                (0..<count).map { _ in
                    .init(interface: interface, bytes: flows.next(&choices, interface: interface))
                })
        }
        return batches
    }

    private func run(_ fuzzed: FuzzedWorker, _ batches: [[MemoryFrameIO.Frame]]) -> [MemoryFrameIO.Frame] {
        fuzzed.restart()
        for batch in batches {
            fuzzed.worker.io.time += .nanoseconds(200_000_000)
            fuzzed.worker.io.input = batch
            while !fuzzed.worker.io.input.isEmpty { fuzzed.worker.turn(wait: false) }
        }
        return fuzzed.worker.io.takeOutput() + fuzzed.settle()
    }

    /// Every counter but that of coalesced frames.
    private func counts(_ fuzzed: FuzzedWorker) -> [UInt64] {
        var counts = [UInt64](repeating: 0, count: DropReason.count)
        for drop in fuzzed.reader.drops() { counts[Int(drop.reason.rawValue)] = drop.frames }
        for index in fuzzed.table.interfaces.indices {
            let interface = fuzzed.reader.interface(index)
            counts += [interface.received.packets, interface.received.bytes, interface.receivedDrops]
            counts += [interface.sent.packets, interface.sent.bytes, interface.sentDrops]
        }
        for index in 0..<fuzzed.snapshot.counterCount {
            let entry = fuzzed.reader.entry(index)
            counts += [entry.packets, entry.bytes]
        }
        for index in 0..<fuzzed.snapshot.ruleCounterCount {
            let rule = fuzzed.reader.rule(index)
            counts += [rule.packets, rule.bytes]
        }
        return counts
    }
}

/// What each receiver gets, conversation by conversation, when the kernel has segmented and completed everything; of passive
/// ones all that they get.
private struct Receivers {
    private var flows: [[UInt8]: [[UInt8]]] = [:]

    init(_ output: [MemoryFrameIO.Frame], _ passive: Set<[UInt8]>) throws(BrokenProperty) {
        for frame in output {
            let segments = try KernelSegmentation.frames(of: frame.bytes)
            if let offload = frame.bytes.withUnsafeBytes({ VirtioNetHeader($0.bytes) }), offload.isSegmented {
                let cut = Segmentation.frames(of: Array(frame.bytes.dropFirst(VirtioNetHeader.length)), offload)
                try require(cut == segments, "a capture cuts a superframe into other frames than the kernel does")
            }
            for segment in segments {
                if passive.contains(Array(segment[..<6])) { flows[Array(segment[..<6]), default: []].append(segment) }
                flows[Self.key(segment, frame.interface), default: []].append(segment)
            }
        }
    }

    /// The interface and the conversation, the same for both directions; where the order is free, the whole frame.
    private static func key(_ frame: [UInt8], _ interface: Int) -> [UInt8] {
        let (verdict, fields) = ExactOctets(frame).parse()
        guard verdict == .packet, fields.message == .none else { return [UInt8(interface)] + frame }
        let width = frame[12] == 0x86 ? 16 : 4
        let start = frame[12] == 0x86 ? 22 : 26
        let place = fields.transportOffset
        let ends = [0, 1].map { end in
            let address = frame[start + end * width..<start + (end + 1) * width]
            return Array(address) + (fields.flow.hasPorts ? Array(frame[place + end * 2..<place + end * 2 + 2]) : [])
        }.sorted { $0.lexicographicallyPrecedes($1) }
        return [UInt8(interface), fields.flow.protocolNumber] + frame[0..<12] + ends[0] + ends[1]
    }

    func compare(with other: Receivers) throws(BrokenProperty) {
        for (key, frames) in other.flows {
            let mine = flows[key] ?? []
            guard mine != frames else { continue }
            let place = zip(mine, frames).enumerated().first { $1.0 != $1.1 }?.offset ?? min(mine.count, frames.count)
            let (now, then) = (mine.dropFirst(place).first ?? [], frames.dropFirst(place).first ?? [])
            throw BrokenProperty(
                "packet \(place) of a flow (\(mine.count) of \(frames.count)) is \(now.prefix(90)), not \(then.prefix(90))"
            )
        }
        try require(flows.count == other.flows.count, "\(flows.count) flows, not \(other.flows.count)")
    }
}
