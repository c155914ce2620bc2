import Engine
import Forwarding
import Plan
import Wire

/// Whatever frames and offload headers come in, what goes out is sound, fits its interface, says nothing of memory that
/// is not the frame's, and every packet is sent, answered or counted as dropped.
///
/// An input is a row of frames: an octet of options, one that chooses the Ethernet addresses, two for the number of
/// octets, two for how many more are added, ten for the offload header where the options say so, and the frame.
enum ForwarderProperties {
    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        let rig = rig
        let frames = rig.frames(ByteChoices(input))
        let first = try rig.run(frames, stale: 0x00)
        let second = try rig.run(frames, stale: 0xFF)
        try require(first == second, "what goes out depends on what was in memory before")
    }

    nonisolated(unsafe) private static let rig = ForwarderRig()
}

/// A worker over memory, and what its output is judged by.
private final class ForwarderRig {
    private let fuzzed = FuzzedWorker(EngineTuning())
    private var table: ForwardingTable { fuzzed.table }
    private var snapshot: Snapshot { fuzzed.snapshot }

    struct Input {
        var frame: MemoryFrameIO.Frame
        /// Nanoseconds that pass before it comes.
        var pause: UInt64
    }

    /// The frames of an input, at most eight.
    func frames(_ choices: ByteChoices) -> [Input] {
        var choices = choices
        var frames: [Input] = []
        while !choices.isUsedUp, frames.count < 8 {
            let options = choices.octet()
            let stations = choices.octet()
            let (length, more) = (choices.word(), choices.word())
            var offload = [UInt8](repeating: 0, count: VirtioNetHeader.length)
            if options & 8 != 0 { for index in offload.indices { offload[index] = choices.octet() } }
            let interface = Int(options & 3)
            var frame = Array(choices.rest(min(length, 2_048)))
            if options & 16 != 0 { frame += [UInt8](repeating: 0x58, count: min(more, 65_549)) }
            if frame.count >= 14 {
                if stations & 1 != 0 { frame.replaceSubrange(0..<6, with: table.interfaces[interface].mac.octets) }
                let known = table.sources.filter { $0.interface == interface }
                if stations & 2 != 0, !known.isEmpty {
                    frame.replaceSubrange(6..<12, with: known[Int(stations >> 2) % known.count].mac.octets)
                }
            }
            if options & 4 != 0 { frame.withUnsafeMutableBytes { Correction.correct($0) } }
            frames.append(
                Input(
                    frame: .init(interface: interface, bytes: offload + frame),
                    pause: options & 32 == 0 ? 1_000_000 : 1_100_000_000))
        }
        return frames
    }

    /// Runs the frames through the worker as if it had just started; what it sent.
    func run(_ frames: [Input], stale: UInt8) throws(BrokenProperty) -> [MemoryFrameIO.Frame] {
        fuzzed.restart()
        let dropsBefore = drops
        var all: [MemoryFrameIO.Frame] = []
        var packets = 0
        for input in frames {
            fuzzed.worker.io.time += .nanoseconds(input.pause)
            // The slot that the frame comes to lie in is full of something else; what is too short is dropped.
            fuzzed.worker.io.input = [
                .init(
                    interface: 0,
                    bytes: [UInt8](repeating: stale, count: min(frameSlotSize - 1, input.frame.bytes.count + 600)))
            ]
            fuzzed.worker.turn(wait: false)
            // Time has passed: those that are waited for may be asked again.
            let asked = fuzzed.worker.io.takeOutput()
            for frame in asked { try check(frame, about: nil) }
            all += asked
            fuzzed.worker.io.input = [input.frame]
            fuzzed.worker.turn(wait: false)
            if isPacket(input.frame) { packets += 1 }
            let output = fuzzed.worker.io.takeOutput()
            try require(output.count <= 256, "one frame becomes \(output.count)")
            for frame in output { try check(frame, about: input.frame) }
            all += output
        }
        let last = fuzzed.settle()
        for frame in last { try check(frame, about: nil) }
        all += last
        let dropped = drops - dropsBefore - UInt64(frames.count)
        try require(
            UInt64(all.count) + dropped >= UInt64(packets),
            "\(packets) packets became \(all.count) frames and \(dropped) drops")
        return all
    }

    private var drops: UInt64 { fuzzed.reader.drops().reduce(0) { $0 + $1.frames } }

    private func read(_ frame: MemoryFrameIO.Frame) -> (ParseVerdict, PacketFields) {
        let (verdict, fields) = ExactOctets(frame.bytes.dropFirst(VirtioNetHeader.length)).parse()
        return (verdict, fields)
    }

    /// True for a packet that somebody must get, or a counter: neighbour discovery may just be believed.
    private func isPacket(_ frame: MemoryFrameIO.Frame) -> Bool {
        let (verdict, fields) = read(frame)
        return verdict == .packet && fields.message != .neighbourDiscovery
    }

    /// What tells a reset of the engine's own from a copy; 0 for what is not TCP.
    private static func controlBits(_ frame: [UInt8], _ fields: PacketFields) -> UInt8 {
        let place = fields.transportOffset + 13
        let isTCP = fields.transportProtocol == IPProtocol.tcp && fields.fragment != .later
        return isTCP && place < frame.count ? frame[place] : 0
    }

    /// A frame that goes out is one that the kernel takes and its receiver can use.
    private func check(_ frame: MemoryFrameIO.Frame, about input: MemoryFrameIO.Frame?) throws(BrokenProperty) {
        try require(table.interfaces.indices.contains(frame.interface), "a frame to interface \(frame.interface)")
        let (verdict, fields) = read(frame)
        guard verdict == .packet else {
            try require(verdict == .arp, "a frame goes out that is \(verdict)")
            return
        }
        guard let offload = frame.bytes.withUnsafeBytes({ VirtioNetHeader($0.bytes) }) else {
            throw BrokenProperty("a frame without an offload header")
        }
        let octets = Array(frame.bytes.dropFirst(VirtioNetHeader.length))
        let needs = offload.flags & VirtioNetHeader.needsChecksum != 0
        try require(offload.flags & ~VirtioNetHeader.needsChecksum == 0, "flags \(offload.flags) go out")
        try require(
            !needs || Int(offload.checksumStart) + Int(offload.checksumOffset) + 2 <= octets.count,
            "a checksum beyond the frame is asked for")
        let isOwn = snapshot.isOwnAddress(fields.flow.source) || fields.message == .error
        let mtu = table.interfaces[frame.interface].mtu
        if offload.isSegmented {
            let isTCP = fields.transportProtocol == IPProtocol.tcp
            let headers = fields.transportOffset + (isTCP ? Int(octets[fields.transportOffset + 12] >> 4) * 4 : 8)
            // A frame that is smaller than one segment is that segment.
            let length = headers - 14 + min(Int(offload.gsoSize), fields.end - headers)
            try require(
                needs && offload.gsoSize > 0 && length <= mtu, "segments of \(length) octets for an MTU of \(mtu)")
        } else if !isOwn {
            try require(fields.packetLength <= mtu, "a packet of \(fields.packetLength) octets for an MTU of \(mtu)")
        }
        guard let input else { return }
        let (_, before) = read(input)
        let sent = Array(input.bytes.dropFirst(VirtioNetHeader.length))
        if octets.count == sent.count, before.fragment == fields.fragment, before.message == fields.message,
            before.icmpType == fields.icmpType, before.transportProtocol == fields.transportProtocol,
            Self.controlBits(sent, before) == Self.controlBits(octets, fields)
        {
            // A copy: whatever was right of its checksums, is.
            let state = offload.checksumState(of: fields)
            let sums = NaiveSums.invariants(sent, before, state)
            let now = NaiveSums.invariants(octets, fields, state)
            try require(sums == now, "a copy's sums \(sums) become \(now)")
        } else if fields.message == .error || fields.message == .echoReply, fields.fragment == .whole, !needs,
            snapshot.isOwnMAC(fields.sourceMAC, on: frame.interface), frame.interface == input.interface,
            fields.destinationMAC == before.sourceMAC
        {
            let right = octets.withUnsafeBytes { fields.controlChecksumIsValid($0.bytes) }
            try require(right, "an answer of the engine's has a wrong checksum")
        }
    }
}
