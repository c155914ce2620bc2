import CLinux
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
        /// By tenant.
        var observations: [String: (seen: TenantObservation, at: MonotonicTime)] = [:]
        /// By tenant; of all of them at the empty name.
        var access: [String: (states: [AccessState], at: MonotonicTime)] = [:]
        /// How often the control process has said that the file is another, as far as this process has looked.
        var rung = 0
        /// The same, when the description was asked for.
        var describedAt = 0

        /// True if the description is of the file before.
        var isOutdated: Bool { describedAt < rung }

        /// Looks whether the file is another.
        ///
        /// - Returns: True if it has just become one.
        mutating func listen(_ bell: Int32) -> Bool {
            var count: UInt64 = 0
            guard bell >= 0, read(bell, &count, 8) == 8 else { return false }
            rung += 1
            return true
        }
    }

    private let channel: LineChannel
    private let turn = Mutex(())
    private let known = Mutex(Known())
    /// An eventfd that the control process writes when what the file says of tenants may have changed; -1: there is none.
    private let bell: Int32
    /// An eventfd that whoever has heard the bell writes, for the thread that waits in `awaitFile`.
    private let heard = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    /// Which connections count together.
    let sources = ConnectionSources()

    /// The longest answer, in octets.
    private static let longestLine = 64 << 20
    /// How old a description or an observation may be.
    private static let freshness = Duration.milliseconds(500)
    /// The most tenants whose observations are kept.
    private static let mostObservations = 1000

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
        if let last {
            guard let answer = try askIfFree(.describe) else { return last }
            guard case .description(let fresh) = answer else { throw Self.unexpected }
            keep(fresh, rung)
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

    /// How often the control process has said that the file is another.
    private func listen() -> Int {
        known.withLock { known in
            if known.listen(bell) {
                var one: UInt64 = 1
                _ = write(heard, &one, 8)
            }
            return known.rung
        }
    }

    /// Waits until the control process says that the file may be another, whoever hears it.
    func awaitFile() {
        var places = [bell, heard].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while poll(&places, 2, -1) <= 0 {}
        _ = listen()
        var count: UInt64 = 0
        _ = read(heard, &count, 8)
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

    static let gone = ApplianceError(.failed, "the control process is gone")
    private static let unexpected = ApplianceError(.failed, "the control process says something unexpected")
}
