import ControlAPI
import EventLoop
import Glibc
import Reporting
import Synchronization
import Wire

/// The way to the control process: one question at a time, each with one answer. Any thread may ask.
final class ControlLink: Sendable {
    private struct Known {
        var description: TenantsDescription?
        var at = MonotonicTime(nanoseconds: 0)
        /// How often the control process has said that the file is another, as far as this process has looked.
        var rung = 0
        /// The same, when the description was asked for.
        var describedAt = 0

        /// True if the description is of the file before.
        var isOutdated: Bool { describedAt < rung }

        /// Looks whether the file is another.
        mutating func listen(_ bell: Int32) {
            var count: UInt64 = 0
            if bell >= 0, read(bell, &count, 8) == 8 { rung += 1 }
        }
    }

    private let channel: LineChannel
    private let turn = Mutex(())
    private let known = Mutex(Known())
    /// An eventfd that the control process writes when what the file says of tenants may have changed; -1: there is none.
    private let bell: Int32
    /// Which connections count together.
    let sources = ConnectionSources()

    /// The longest answer, in octets.
    private static let longestLine = 64 << 20
    /// How old a description may be.
    private static let freshness = Duration.milliseconds(500)

    /// - Parameters:
    ///   - descriptor: The end of this process.
    ///   - bell: An eventfd that does not block; -1: there is none.
    init(owning descriptor: Int32, bell: Int32 = -1) {
        channel = LineChannel(owning: descriptor, longest: Self.longestLine)
        self.bell = bell
    }

    /// The first line.
    ///
    /// - Throws: `ApplianceError` if the control process is gone.
    func settings() throws(ApplianceError) -> RecordsSettings {
        guard let line = channel.read() else { throw Self.gone }
        return try JSONLine.decode(RecordsSettings.self, line)
    }

    /// The answer to one question.
    ///
    /// - Throws: `ApplianceError` if the control process is gone.
    func ask(_ request: InstructionRequest) throws(ApplianceError) -> InstructionAnswer {
        let line = try JSONLine.encode(request)
        let rung = listen()
        let answer = turn.withLock { _ in channel.write(line) ? channel.read() : nil }
        guard let answer else { throw Self.gone }
        let decoded = try JSONLine.decode(InstructionAnswer.self, answer)
        if case .description(let description) = decoded { keep(description, rung) }
        return decoded
    }

    /// Says something that has no answer.
    func tell(_ request: InstructionRequest) {
        guard let line = try? JSONLine.encode(request) else { return }
        turn.withLock { _ in _ = channel.write(line) }
    }

    /// What the file says of tenants, and what is in force, at most half a second old, and never of a file before the one that
    /// was applied last. While an instruction has the way to the control process, it is what was known last: who only looks does
    /// not wait for others' instructions.
    func description() throws(ApplianceError) -> TenantsDescription {
        let rung = listen()
        let (recent, last) = known.withLock { known -> (TenantsDescription?, TenantsDescription?) in
            if known.isOutdated { return (nil, nil) }
            return (monotonicTime() - known.at < Self.freshness ? known.description : nil, known.description)
        }
        if let recent { return recent }
        if let line = try? JSONLine.encode(InstructionRequest.describe), let last {
            let asked = turn.withLockIfAvailable { _ in channel.write(line) ? channel.read() : nil }
            guard let asked else { return last }
            guard let answer = asked,
                case .description(let fresh)? = try? JSONLine.decode(InstructionAnswer.self, answer)
            else {
                throw Self.gone
            }
            keep(fresh, rung)
            return fresh
        }
        guard case .description(let fresh) = try ask(.describe) else {
            throw ApplianceError(.failed, "the control process says something unexpected")
        }
        return fresh
    }

    /// What was known is no longer true: it is asked for again as soon as the way is free.
    func forget() { known.withLock { $0.at = MonotonicTime(nanoseconds: 0) } }

    /// How often the control process has said that the file is another.
    private func listen() -> Int {
        known.withLock { known in
            known.listen(bell)
            return known.rung
        }
    }

    private func keep(_ description: TenantsDescription, _ rung: Int) {
        known.withLock { known in
            guard rung >= known.describedAt else { return }
            known.description = description
            known.at = monotonicTime()
            known.describedAt = rung
        }
        sources.networks = description.networks.map { $0.compactMap { IPPrefix($0) } }
    }

    /// Waits until the control process is gone.
    static let gone = ApplianceError(.failed, "the control process is gone")
}
