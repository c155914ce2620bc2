import Reporting
import Wire

/// A check as the file has it.
struct RawCheck: Sendable {
    var name: String
    var origin: SourceOrigin
    var steps: [RawStep]
    var listsSteps: Bool
}

/// A step as the file has it: names are still to be found.
struct RawStep: Sendable {
    enum Action: Sendable {
        case command(RawCommand, CommandExpectation)
        case start(name: Located<String>, RawCommand)
        case finish(name: Located<String>, CommandExpectation)
        case log(node: Located<String>, file: String?, TextExpectation, CountingStart)
        case entry(name: Located<String>, packets: NumberExpectation?, bytes: NumberExpectation?, CountingStart)
        case interface(name: Located<String>, [InterfaceCounter: NumberExpectation], CountingStart)
        case drops(reason: Located<String>, frames: NumberExpectation, CountingStart)
        case packet(RawPacket)
        case wait(Int)
        case capture(RawPlace)
        case captured(RawPlace, RawFrameFilter, frames: NumberExpectation?, bytes: NumberExpectation?)
        case instance(name: Located<String>, InstanceExpectation)
        case event(RawEvent, CountingStart)
        case fault(FaultPlan.Kind, RawPlace, duration: Int?)
    }
    var origin: SourceOrigin
    var summary: String
    var action: Action
    var within: Int
    var timeout: Int
}

/// A command in a node as the file has it.
struct RawCommand: Sendable {
    var node: Located<String>
    var command: String
    var alters: Bool
}

/// A node, and one of its interfaces if the file names one.
struct RawPlace: Sendable {
    var node: Located<String>
    var interface: Located<String>?
}

/// An event as the file has it.
struct RawEvent: Sendable {
    var kind: EventKind
    var application: Located<String>?
    var instance: Located<String>?
    var check: Located<String>?
    var engine: Int?
    var reason: [String]
    var times: NumberExpectation
}

/// Which frames of a capture count, as the file has it.
struct RawFrameFilter: Sendable {
    /// A prefix, or a node with all of its addresses.
    enum Endpoint: Sendable {
        case prefix(IPPrefix)
        case node(Located<String>)
    }
    var port: PortSpecification?
    var source: [Endpoint] = []
    var destination: [Endpoint] = []
    var contains: [String] = []
    var direction: FrameFilter.Direction?
}

/// A packet that a check sends, as the file has it.
struct RawPacket: Sendable {
    var origin: SourceOrigin
    var from: Located<String>
    var source: Located<IPAddress>?
    var to: Located<IPAddress>
    var port: Located<PortSpecification>
    var sourcePort: UInt16?
    var payload: String?
    var size: Located<Int>?
    var hopLimit: UInt8
    var dontFragment: Bool
    var reaches: [[Located<String>]]
    var answer: [[Located<String>]]?
}
