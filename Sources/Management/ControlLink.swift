import ControlAPI
import EventLoop
import Reporting
import Synchronization
import Wire

/// The way to the control process: one question at a time, each with one answer. Any thread may ask.
final class ControlLink: Sendable {
    private struct Known {
        var description: TenantsDescription?
        var at = MonotonicTime(nanoseconds: 0)
    }

    private let channel: LineChannel
    private let turn = Mutex(())
    private let known = Mutex(Known())

    /// The longest answer, in octets.
    private static let longestLine = 64 << 20
    /// How old a description may be.
    private static let freshness = Duration.milliseconds(500)

    /// - Parameter descriptor: The end of this process.
    init(owning descriptor: Int32) { channel = LineChannel(owning: descriptor, longest: Self.longestLine) }

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
        let answer = turn.withLock { _ in channel.write(line) ? channel.read() : nil }
        guard let answer else { throw Self.gone }
        let decoded = try JSONLine.decode(InstructionAnswer.self, answer)
        if case .description(let description) = decoded { keep(description) }
        return decoded
    }

    /// Says something that has no answer.
    func tell(_ request: InstructionRequest) {
        guard let line = try? JSONLine.encode(request) else { return }
        turn.withLock { _ in _ = channel.write(line) }
    }

    /// What the file says of tenants, and what is in force, at most half a second old. While an instruction has the way to the
    /// control process, it is what was known last: who only looks does not wait for others' instructions.
    func description() throws(ApplianceError) -> TenantsDescription {
        let recent = known.withLock { known in
            monotonicTime() - known.at < Self.freshness ? known.description : nil
        }
        if let recent { return recent }
        if let line = try? JSONLine.encode(InstructionRequest.describe), let last = known.withLock({ $0.description }) {
            let asked = turn.withLockIfAvailable { _ in channel.write(line) ? channel.read() : nil }
            guard let asked else { return last }
            guard let answer = asked,
                case .description(let fresh)? = try? JSONLine.decode(InstructionAnswer.self, answer)
            else {
                throw Self.gone
            }
            keep(fresh)
            return fresh
        }
        guard case .description(let fresh) = try ask(.describe) else {
            throw ApplianceError(.failed, "the control process says something unexpected")
        }
        return fresh
    }

    /// What was known is no longer true: it is asked for again as soon as the way is free.
    func forget() { known.withLock { $0.at = MonotonicTime(nanoseconds: 0) } }

    private func keep(_ description: TenantsDescription) {
        known.withLock { known in
            known.description = description
            known.at = monotonicTime()
        }
    }

    /// Waits until the control process is gone.
    static let gone = ApplianceError(.failed, "the control process is gone")
}
