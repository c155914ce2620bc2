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
        /// By tenant.
        var observations: [String: (seen: TenantObservation, at: MonotonicTime)] = [:]
        /// By tenant; of all of them at the empty name.
        var access: [String: (states: [AccessState], at: MonotonicTime)] = [:]
    }

    private let channel: LineChannel
    private let turn = Mutex(())
    private let known = Mutex(Known())

    /// The longest answer, in octets.
    private static let longestLine = 64 << 20
    /// How old a description or an observation may be.
    private static let freshness = Duration.milliseconds(500)
    /// The most tenants whose observations are kept.
    private static let mostObservations = 1000

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
        let known = known.withLock { ($0.description, $0.at) }
        if let last = known.0 {
            if monotonicTime() - known.1 < Self.freshness { return last }
            guard let answer = try askIfFree(.describe) else { return last }
            guard case .description(let fresh) = answer else { throw Self.unexpected }
            keep(fresh)
            return fresh
        }
        guard case .description(let fresh) = try ask(.describe) else { throw Self.unexpected }
        return fresh
    }

    /// What a tenant may see of its services, by the same rule as `description`.
    func observation(of tenant: String) throws(ApplianceError) -> TenantObservation {
        let last = known.withLock { $0.observations[tenant] }
        if let last {
            if monotonicTime() - last.at < Self.freshness { return last.seen }
            guard let answer = try askIfFree(.observe(tenant: tenant)) else { return last.seen }
            return try keep(answer, tenant)
        }
        return try keep(try ask(.observe(tenant: tenant)), tenant)
    }

    private func keep(_ answer: InstructionAnswer, _ tenant: String) throws(ApplianceError) -> TenantObservation {
        if case .error(let error) = answer { throw error }
        guard case .observation(let seen) = answer else { throw Self.unexpected }
        known.withLock { known in
            // Tenants come and go with the file: what nobody asks for any more is not kept for ever.
            if known.observations.count >= Self.mostObservations { known.observations = [:] }
            known.observations[tenant] = (seen, monotonicTime())
        }
        return seen
    }

    /// How the access lists of a tenant do, or of all tenants, by the same rule as `description`.
    func accessStates(of tenant: String?) throws(ApplianceError) -> [AccessState] {
        let last = known.withLock { $0.access[tenant ?? ""] }
        if let last, monotonicTime() - last.at < Self.freshness { return last.states }
        let request = InstructionRequest.access(tenant: tenant)
        let asked = try last == nil ? ask(request) : askIfFree(request)
        guard let answer = asked else { return last?.states ?? [] }
        if case .error(let error) = answer { throw error }
        guard case .access(let states) = answer else { throw Self.unexpected }
        known.withLock { known in
            if known.access.count >= Self.mostObservations { known.access = [:] }
            known.access[tenant ?? ""] = (states, monotonicTime())
        }
        return states
    }

    /// The answer to one question; nil if the way is taken.
    private func askIfFree(_ request: InstructionRequest) throws(ApplianceError) -> InstructionAnswer? {
        let line = try JSONLine.encode(request)
        guard let answer = turn.withLockIfAvailable({ _ in channel.write(line) ? channel.read() : nil }) else {
            return nil
        }
        guard let answer else { throw Self.gone }
        return try JSONLine.decode(InstructionAnswer.self, answer)
    }

    /// What was known is no longer true: it is asked for again as soon as the way is free.
    func forget() {
        known.withLock { known in
            known.at = MonotonicTime(nanoseconds: 0)
            known.access = [:]
        }
    }

    private func keep(_ description: TenantsDescription) {
        known.withLock { known in
            known.description = description
            known.at = monotonicTime()
        }
    }

    static let gone = ApplianceError(.failed, "the control process is gone")
    private static let unexpected = ApplianceError(.failed, "the control process says something unexpected")
}
