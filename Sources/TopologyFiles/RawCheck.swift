import Plan
import Reporting
import Wire

/// A check as the file has it.
package struct RawCheck: Sendable {
    package var name: String
    package var origin: SourceOrigin
    package var steps: [RawStep]
    package var listsSteps: Bool
    /// The whole check if it has expressions beside its commands; it has no steps then.
    package var unread: UnreadPart?
}

/// A step as the file has it: names are still to be found.
package struct RawStep: Sendable {
    package enum Action: Sendable {
        case command(RawCommand, CommandExpectation)
        case start(name: Located<String>, RawCommand)
        case finish(name: Located<String>, CommandExpectation)
        case log(node: Located<String>, program: Located<String>?, file: String?, TextExpectation, CountingStart)
        case entry(name: Located<String>, packets: NumberExpectation?, bytes: NumberExpectation?, CountingStart)
        case interface(name: Located<String>, [InterfaceCounter: NumberExpectation], CountingStart)
        case drops(reason: Located<String>, frames: NumberExpectation, CountingStart)
        case packet(RawPacket)
        case path(RawPath)
        case outage(RawOutage)
        case wait(Int)
        case capture(RawPlace)
        case captured(RawPlace, RawFrameFilter, frames: NumberExpectation?, bytes: NumberExpectation?)
        case instance(name: Located<String>, InstanceExpectation)
        case event(RawEvent, CountingStart)
        case mapping(RawMappingExpectation)
        case fault(FaultPlan.Kind, RawPlace, duration: Int?)
        case impair(RawImpairedPlace, ImpairmentPair)
        case instruct(RawInstruction, CommandExpectation)
    }
    package var origin: SourceOrigin
    package var summary: String
    package var action: Action
    package var within: Int
    package var timeout: Int

    /// The step, or the steps while which an outage is measured.
    var withInnerSteps: [RawStep] {
        if case .outage(let outage) = action { return outage.steps.flatMap(\.withInnerSteps) }
        return [self]
    }
}

/// A command in a node as the file has it.
package struct RawCommand: Sendable {
    package var node: Located<String>
    package var command: Located<String>
    package var alters: Bool
}

/// A request of the operator as the file has it.
package struct RawInstruction: Sendable {
    package var origin: SourceOrigin
    package var method: String
    package var target: InstructionTarget
    package var body: String?
    /// The node that gets the answer, and the file.
    package var node: Located<String>?
    package var file: String?
}

/// A node, and one of its interfaces if the file names one.
package struct RawPlace: Sendable {
    package var node: Located<String>
    package var interface: Located<String>?

    package init(node: Located<String>, interface: Located<String>?) {
        (self.node, self.interface) = (node, interface)
    }
}

/// An event as the file has it.
package struct RawEvent: Sendable {
    package var kind: EventKind
    package var application: Located<String>?
    package var instance: Located<String>?
    package var check: Located<String>?
    package var engine: Int?
    package var reason: [String]
    package var times: NumberExpectation
}

/// Which frames of a capture count, as the file has it.
package struct RawFrameFilter: Sendable {
    /// A prefix, or a node with all of its addresses.
    package enum Endpoint: Sendable {
        case prefix(IPPrefix)
        case node(Located<String>)
    }
    package var port: PortSpecification?
    package var source: [Endpoint] = []
    package var destination: [Endpoint] = []
    package var contains: [String] = []
    package var direction: FrameFilter.Direction?
}

/// A packet that a check sends, as the file has it.
package struct RawPacket: Sendable {
    package var origin: SourceOrigin
    package var from: Located<String>
    package var source: Located<IPAddress>?
    package var to: Located<IPAddress>
    package var port: Located<PortSpecification>
    package var sourcePort: UInt16?
    package var payload: String?
    package var size: Located<Int>?
    package var hopLimit: UInt8
    package var dontFragment: Bool
    package var reaches: [[Located<String>]]
    package var answer: [[Located<String>]]?
}

/// Numbered packets that a check sends, as the file has them.
package struct RawTrain: Sendable {
    /// One of them, without a way.
    package var packet: RawPacket
    package var interval: UInt64
    package var flows: Located<Int>?
}

/// Packets whose paths a check measures, as the file has them.
package struct RawPath: Sendable {
    package var train: RawTrain
    package var count: Located<Int>
    package var expectation: TrainExpectation
    /// Where `reordered` is written.
    package var order: SourceOrigin?
    package var paths: NumberExpectation?
    package var through: [[Located<String>]]
    package var within: [(node: Located<String>, figure: PathPlan.Figure, time: TimeExpectation)]
}

/// Packets that a check sends while steps run, as the file has them.
package struct RawOutage: Sendable {
    package var train: RawTrain
    package var steps: [RawStep]
    package var expectation: TrainExpectation
    /// Where `reordered` is written.
    package var order: SourceOrigin?
    package var longestGap: TimeExpectation?
    package var countsAnswers: Bool?
    package var settle: Int
}
