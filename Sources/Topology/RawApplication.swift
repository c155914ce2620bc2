import Forwarding
import Reporting
import Wire

/// An application whose health Tapline looks after, as the file has it: the source of its instances, and how they share
/// its work.
struct RawApplication: Sendable {
    var name: Located<String>
    /// The common part of its instances: a node of the application's own name.
    var template: RawNode
    /// Its instances in the order of the file, then the instances that were added while it ran.
    var instances: [RawInstance] = []
    /// The place of the number of instances, else of the application's name.
    var instancesOrigin: SourceOrigin
    var redundancy: Located<Redundancy>?
    var active: Located<Int>?
    var hashing: Located<FlowHashing>?
    var seed: Located<Int>?
    var minimum: Located<Int>?
    var whenDown: Located<DownPolicy>?
    var answer: Located<DownAnswer>?
    var health: [RawHealthCheck] = []
    /// nil: the defaults.
    var damping: RawDamping?
    var drain: Int?
    var scale: RawScale?

    /// How its instances divide the work, if the file does not say it.
    var resolvedRedundancy: Redundancy {
        redundancy?.value ?? (template.passive ? .copies : .activeStandby)
    }
}

/// An instance as the file has it; its node is one of the file's nodes.
struct RawInstance: Sendable {
    var name: String
    var weight: Located<Int>?
    var priority: Located<Int>?
}

/// Flap damping as the file has it.
enum RawDamping: Sendable {
    case off
    case on(DampingPlan)
}

/// When instances are added and removed, as the file has it.
struct RawScale: Sendable {
    var origin: SourceOrigin
    var plan: ScalePlan
    /// The place of `most`.
    var mostOrigin: SourceOrigin
}

/// The protocols of a heartbeat.
enum HeartbeatProtocol: String, Sendable, CaseIterable {
    case icmp
    case udp
}

/// A health check as the file has it.
struct RawHealthCheck: Sendable {
    enum Probe: Sendable {
        case neighbour
        case echo
        case tcp(address: IPAddress, port: UInt16)
        case http(address: IPAddress, port: UInt16, path: String, host: String, status: Int, body: String?)
        case command(String)
        case heartbeat(RawHeartbeat)
    }
    var origin: SourceOrigin
    var probe: Probe
    /// In milliseconds, with the defaults of its kind.
    var interval: Int
    var fastInterval: Int
    var timeout: Int
    var rise: Int
    var fall: Int
}

/// A heartbeat as the file has it: addresses that it leaves open are the engine's.
struct RawHeartbeat: Sendable {
    var isNegative: Bool
    var kind: HeartbeatPlan.Kind
    var source: Located<IPAddress>?
    var destination: Located<IPAddress>?
    var size: Located<Int>
    var hopLimit: Int
    var trafficClass: Int
}

extension FlowHashing {
    /// As the file writes it.
    var word: String {
        switch self {
        case .addresses: "addresses"
        case .sessions: "sessions"
        case .ports: "ports"
        }
    }
}

extension DownAnswer {
    /// As the file writes it.
    var word: String {
        switch self {
        case .silence: "silence"
        case .unreachable: "unreachable"
        case .reset: "reset"
        }
    }
}
