/// An engine has broken the control protocol: it has sent a message that the control process did not ask for.
public struct ProtocolBreach: Error, Sendable, Hashable, CustomStringConvertible {
    /// What the engine did, as the end of a sentence whose subject is the engine.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// The requests that one engine has not answered. The engine may send these answers, in that order, and nothing else.
///
/// So an engine can cause no more work than the control process has asked for, however fast it sends. The value needs
/// no operating system.
public struct EngineConversation: Sendable {
    /// The generation of its first table.
    private let first: UInt64
    /// True after it has said `ready`.
    public private(set) var isReady = false
    /// True after it has refused its first table. Then it ends, and may send nothing more.
    private var isOver = false
    private var tables: [UInt64] = []
    private var assignments: [UInt64] = []
    private var pings: [UInt64] = []
    private var observations: [UInt64] = []
    private var impairments: [UInt64] = []

    /// - Parameter first: The generation of the table that it is started with.
    public init(first: UInt64) { self.first = first }

    /// Notes that the engine got a table, or groups, of this generation.
    public mutating func hand(_ generation: UInt64) { tables.append(generation) }

    /// Notes that the engine got an assignment of this number.
    public mutating func assign(_ number: UInt64) { assignments.append(number) }

    /// Notes that the engine got the observers of this number.
    public mutating func observe(_ number: UInt64) { observations.append(number) }

    /// Notes that the engine got the impaired links of this number.
    public mutating func impair(_ number: UInt64) { impairments.append(number) }

    /// Notes that the engine got a ping of this number.
    public mutating func ping(_ number: UInt64) { pings.append(number) }

    /// True if the engine owes an answer of any kind.
    public var owesAnswer: Bool {
        !(tables.isEmpty && assignments.isEmpty && pings.isEmpty && observations.isEmpty && impairments.isEmpty)
    }

    /// Takes one event from the engine.
    ///
    /// - Throws: `ProtocolBreach` if this answer is not the next that it owes.
    public mutating func accept(_ event: EngineEvent) throws(ProtocolBreach) {
        guard !isOver else { throw ProtocolBreach("sent another message after it had refused its first table") }
        switch event {
        case .ready(let ready):
            guard !isReady else { throw ProtocolBreach("said 'ready' twice") }
            guard ready.generation == first else {
                throw ProtocolBreach("is ready with table \(ready.generation), but was started with \(first)")
            }
            isReady = true
        case .refused(let generation, _) where !isReady:
            guard generation == first else {
                throw ProtocolBreach("refused table \(generation), but was started with \(first)")
            }
            isOver = true
        case .applied(let generation): try take(generation, from: \.tables, "took table")
        case .refused(let generation, _): try take(generation, from: \.tables, "refused table")
        case .assigned(let number): try take(number, from: \.assignments, "took assignment")
        case .alive(let number): try take(number, from: \.pings, "answered question")
        case .observed(let number, _): try take(number, from: \.observations, "took observers")
        case .impaired(let number, _): try take(number, from: \.impairments, "took impaired links")
        }
    }

    private mutating func take(
        _ number: UInt64, from asked: WritableKeyPath<EngineConversation, [UInt64]>, _ what: String
    ) throws(ProtocolBreach) {
        guard isReady else { throw ProtocolBreach("\(what) \(number) before it was ready") }
        guard let next = self[keyPath: asked].first else {
            throw ProtocolBreach("\(what) \(number), which it never got")
        }
        guard next == number else { throw ProtocolBreach("\(what) \(number), but \(next) was next") }
        self[keyPath: asked].removeFirst()
    }
}
