import Glibc
import Reporting
import Wire

/// A capture that is being written: to a file, to a ring of files, or to a pipe from which Wireshark reads.
///
/// What was flushed is always whole blocks, so a reader may follow a file or a pipe while it grows, and whatever ends the capture
/// leaves a file that can be read. A ring's files can be read each by itself: each begins with the section, all names and all
/// keys that were written before.
///
/// If the output fails, such as on a full disk, the capture has ended: the call throws one sentence, and so does every later one.
/// Nothing but the capture is affected.
public struct CaptureFile: ~Copyable, Sendable {
    private let target: CaptureTarget
    private let limits: CaptureLimits
    private let isCancelled: @Sendable () -> Bool
    private var output: CaptureOutput
    private var encoder: PcapngEncoder
    /// The section with everything that was added to it, for the next file of a ring.
    private var section: PcapngSection
    private var keyLog: [UInt8] = []
    private var tallies: [Tally]
    /// The number of the file in the ring, from 1 on.
    private var number: Int
    private var packetsInFile: UInt64 = 0
    private var failure: ApplianceError?

    /// What was counted at an interface.
    private struct Tally {
        var written: UInt64 = 0
        var lost: UInt64 = 0
        /// The latest time, in nanoseconds since 1970.
        var end: UInt64 = 0
    }

    /// How many packets were written.
    public private(set) var packets: UInt64 = 0
    /// True if the capture ended because its reader closed the pipe.
    public private(set) var isReaderGone = false

    /// The octets after which a buffer is written without a flush.
    private static let bufferSize = 256 << 10
    /// The most octets of keys that are kept for the next files of a ring.
    private static let mostKeyLog = 8 << 20

    /// Opens the output and writes what a section says before its first packet.
    ///
    /// - Parameters:
    ///   - isCancelled: Asked ten times a second while a reader does not read.
    /// - Throws: The sentence for an output that cannot be opened or written, or for too many interfaces.
    public init(
        to target: CaptureTarget, _ section: PcapngSection, limits: CaptureLimits = CaptureLimits(),
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(ApplianceError) {
        // Before a file is emptied.
        var first = PcapngEncoder()
        try first.begin(section)
        let output = try Self.open(target, first: first.take(), isCancelled)
        encoder = first
        self.output = output
        self.target = target
        self.section = section
        self.limits = limits
        self.isCancelled = isCancelled
        tallies = section.interfaces.map { _ in Tally() }
        number = 1
    }

    /// The path of the file that is being written, or the name of the output.
    public var name: String { output.name }

    /// True if nothing more is to be written.
    ///
    /// - Parameter now: The time by the clock of `CaptureLimits.end`.
    public func isComplete(at now: MonotonicTime) -> Bool {
        if failure != nil { return true }
        if let most = limits.packets, packets >= most { return true }
        return limits.end.map { now >= $0 } ?? false
    }

    /// Adds an interface; returns its index.
    ///
    /// - Throws: The sentence for too many interfaces, or for an output that failed.
    public mutating func add(_ interface: PcapngInterface) throws(ApplianceError) -> Int {
        try check()
        try encoder.add(interface)
        section.interfaces.append(interface)
        tallies.append(Tally())
        return tallies.count - 1
    }

    /// True if the section has room for no further interface.
    public var isFull: Bool { tallies.count >= PcapngSection.mostInterfaces }

    /// Writes names that became known meanwhile.
    ///
    /// - Throws: The sentence for an output that failed.
    public mutating func add(_ names: [PcapngName]) throws(ApplianceError) {
        try check()
        encoder.add(names)
        section.names += names
    }

    /// Writes keys of TLS sessions.
    ///
    /// - Parameter lines: Whole lines in the format of SSLKEYLOGFILE.
    /// - Throws: The sentence for an output that failed.
    public mutating func add(keyLog lines: [UInt8]) throws(ApplianceError) {
        try check()
        encoder.add(keyLog: lines)
        guard case .ring = target, keyLog.count + lines.count <= Self.mostKeyLog else { return }
        keyLog += lines
    }

    /// Writes a frame of the engine's ring, within the limits.
    ///
    /// - Parameters:
    ///   - segments: Cuts a superframe into the frames that a wire would carry.
    ///   - clock: What times are since 1970.
    /// - Throws: The sentence for an output that failed.
    public mutating func add(
        _ record: CaptureRecord, segments: Bool = false, _ clock: CaptureClock
    ) throws(ApplianceError) {
        if let end = limits.end, record.time >= end { return }
        if !segments {
            guard let frame = OffloadedFrame(record.octets, length: record.length) else { return }
            var packet = record.packet([], clock)
            (packet.length, packet.lostBefore) = (frame.length, record.lostBefore)
            return try add(packet, octets: frame.octets.count) { $0.add($1, frame) }
        }
        for packet in record.packets(segments: segments, clock) { try add(packet) }
    }

    /// Writes a packet, within the limit of their number.
    ///
    /// - Throws: The sentence for an output that failed.
    public mutating func add(_ packet: PcapngPacket) throws(ApplianceError) {
        try add(packet, octets: packet.octets.count) { $0.add($1) }
    }

    private mutating func add(
        _ packet: PcapngPacket, octets: Int, _ encode: (inout PcapngEncoder, PcapngPacket) -> Void
    ) throws(ApplianceError) {
        try check()
        if let most = limits.packets, packets >= most { return }
        if case .ring(let path, let ring) = target, packetsInFile > 0 {
            // The options of a packet seldom have more than that beside its comments.
            let comments = packet.comments.reduce(0) { $0 + $1.utf8.count + 8 }
            let needed = min(octets, section.snapLength) + comments + 96 + 64 * tallies.count
            if output.length + UInt64(encoder.count + needed) > ring.size { try beginNextFile(path, ring) }
        }
        encode(&encoder, packet)
        packets += 1
        packetsInFile += 1
        tallies[packet.interface].written += 1
        tallies[packet.interface].lost += packet.lostBefore
        tallies[packet.interface].end = max(tallies[packet.interface].end, packet.nanoseconds)
        if encoder.count >= Self.bufferSize { try flush() }
    }

    /// Writes out what is in memory, so that a reader has every packet.
    ///
    /// - Throws: The sentence for an output that failed.
    public mutating func flush() throws(ApplianceError) {
        try check()
        guard encoder.count > 0 else { return }
        do throws(CaptureOutput.Failure) {
            try output.write(encoder.octets, isCancelled: isCancelled)
            encoder.removeAll()
        } catch {
            let sentence = Self.refusal(error.code, name, packets: packets)
            failure = sentence
            isReaderGone = error.code == EPIPE
            throw sentence
        }
    }

    /// Ends the capture with what was counted, and closes a file.
    ///
    /// - Parameter lost: Frames that each interface lost altogether; nil: as the packets told.
    /// - Throws: The sentence for an output that failed.
    public consuming func close(lost: [UInt64]? = nil) throws(ApplianceError) {
        if let lost { for index in tallies.indices where index < lost.count { tallies[index].lost = lost[index] } }
        try endSection()
    }

    // MARK: - Parts

    /// Opens the first output and writes its first blocks.
    private static func open(
        _ target: CaptureTarget, first blocks: [UInt8], _ isCancelled: () -> Bool
    ) throws(ApplianceError) -> CaptureOutput {
        var output: CaptureOutput
        switch target {
        case .file(let path): output = try CaptureOutput(path)
        case .descriptor(let descriptor, let name): output = CaptureOutput(descriptor, name: name)
        case .ring(var path, _):
            path.path = FileRing.path(path.path, number: 1)
            output = try CaptureOutput(path)
        }
        do throws(CaptureOutput.Failure) { try output.write(blocks, isCancelled: isCancelled) } catch {
            throw refusal(error.code, output.name, packets: 0)
        }
        return output
    }

    private func check() throws(ApplianceError) {
        if let failure { throw failure }
    }

    private mutating func endSection() throws(ApplianceError) {
        try check()
        let end = tallies.map(\.end).max() ?? 0
        for (index, tally) in tallies.enumerated() {
            encoder.add(
                PcapngStatistics(
                    interface: index, received: tally.written + tally.lost, lost: tally.lost, end: end))
        }
        try flush()
    }

    private mutating func beginNextFile(_ path: CapturePath, _ ring: FileRing) throws(ApplianceError) {
        try endSection()
        var next = path
        next.path = FileRing.path(path.path, number: number + 1)
        do throws(ApplianceError) { output = try CaptureOutput(next) } catch {
            failure = error
            throw error
        }
        number += 1
        packetsInFile = 0
        if number > ring.files { unlink(FileRing.path(path.path, number: number - ring.files)) }
        try encoder.begin(section)
        encoder.add(keyLog: keyLog)
        try flush()
    }

    private static func refusal(_ code: Int32, _ name: String, packets: UInt64) -> ApplianceError {
        let written = Plural.counted(packets, "packet")
        return switch code {
        case ECANCELED: ApplianceError(.failed, "\(name) was not read, so the capture ended after \(written)")
        case EPIPE: ApplianceError(.failed, "the reader of \(name) has ended; \(written) had been captured")
        case ENOSPC, EDQUOT, EFBIG:
            .system(
                "cannot write \(name)", errno: code,
                hint: "the packets before are in it; make room, or bound the capture: --ring 100M×4, --snaplen, --count"
            )
        default: .system("cannot write \(name)", errno: code)
        }
    }
}
