import Forwarding
import Plan
import Reporting
import Wire

/// An application whose health Tapline looks after, as the file has it: the source of its instances, and how they share
/// its work.
package struct RawApplication: Sendable {
    package var name: Located<String>
    /// The common part of its instances: a node of the application's own name.
    package var template: RawNode
    /// Its instances in the order of the file, then the instances that were added while it ran.
    package var instances: [RawInstance] = []
    /// The place of the number of instances, else of the application's name.
    package var instancesOrigin: SourceOrigin
    package var redundancy: Located<Redundancy>?
    package var active: Located<Int>?
    package var hashing: Located<FlowHashing>?
    package var seed: Located<Int>?
    package var minimum: Located<Int>?
    package var whenDown: Located<DownPolicy>?
    package var answer: Located<DownAnswer>?
    package var health: [RawHealthCheck] = []
    /// nil: the defaults.
    package var damping: RawDamping?
    package var drain: Int?
    package var scale: RawScale?

    /// How its instances divide the work, if the file does not say it.
    package var resolvedRedundancy: Redundancy {
        redundancy?.value ?? (template.passive ? .copies : .activeStandby)
    }
}

/// An instance as the file has it; its node is one of the file's nodes.
package struct RawInstance: Sendable {
    package var name: String
    package var weight: Located<Int>?
    package var priority: Located<Int>?
}

/// Flap damping as the file has it.
package enum RawDamping: Sendable {
    case off
    case on(DampingPlan)
}

/// When instances are added and removed, as the file has it.
package struct RawScale: Sendable {
    package var origin: SourceOrigin
    package var plan: ScalePlan
    /// The place of `most`.
    package var mostOrigin: SourceOrigin
}

/// The protocols of a heartbeat.
package enum HeartbeatProtocol: String, Sendable, CaseIterable {
    case icmp
    case udp
}

/// A health check as the file has it.
package struct RawHealthCheck: Sendable {
    package enum Probe: Sendable {
        case neighbour
        case echo
        case tcp(address: IPAddress, port: UInt16)
        case http(address: IPAddress, port: UInt16, path: String, host: String, status: Int, body: String?)
        case command(String)
        case question(NodeQuestion)
        case heartbeat(RawHeartbeat)
        /// One with expressions beside its command: each instance has its own values.
        case unread(UnreadPart)
    }
    package var origin: SourceOrigin
    package var probe: Probe
    /// The program of the node that it is about; nil: the node.
    package var program: String?
    /// In milliseconds, with the defaults of its kind.
    package var interval: Int
    package var fastInterval: Int
    package var timeout: Int
    package var rise: Int
    package var fall: Int
}

/// A heartbeat as the file has it: addresses that it leaves open are the engine's.
package struct RawHeartbeat: Sendable {
    package var isNegative: Bool
    package var kind: HeartbeatPlan.Kind
    package var source: Located<IPAddress>?
    package var destination: Located<IPAddress>?
    package var size: Located<Int>
    package var hopLimit: Int
    package var trafficClass: Int
}

extension FlowHashing {
    /// As the file writes it.
    package var word: String {
        switch self {
        case .addresses: "addresses"
        case .sessions: "sessions"
        case .ports: "ports"
        }
    }
}

extension DownAnswer {
    /// As the file writes it.
    package var word: String {
        switch self {
        case .silence: "silence"
        case .unreachable: "unreachable"
        case .reset: "reset"
        }
    }
}
