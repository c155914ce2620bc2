import Reporting
import Wire

/// A network namespace that somebody else made, in which a node's legs are put. Tapline never owns it.
public struct AttachmentPlan: Sendable {
    /// How the namespace is found.
    public enum Place: Sendable, Hashable {
        /// By its file: `/run/netns/x`.
        case namespace(path: String)
        /// By the number of a process in it.
        case process(Int32)
        /// By a container of an engine.
        case container(ContainerEngine, name: String)
    }
    /// How the namespace is found.
    public var place: Place
    /// Where the file names it.
    public var origin: SourceOrigin

    /// Memberwise.
    public init(place: Place, origin: SourceOrigin) {
        self.place = place
        self.origin = origin
    }

    /// What becomes of its nodes when the namespace is gone, for people.
    public var outlook: String {
        if case .process = place {
            return "a process is not found again: write another `pid`, and take the topology down and up"
        }
        return "it is attached again when that is there"
    }
}

extension AttachmentPlan: Hashable {
    /// Two are the same if they lead to the same namespace, wherever the file names it.
    public static func == (one: Self, other: Self) -> Bool { one.place == other.place }

    /// As `==` compares.
    public func hash(into hasher: inout Hasher) { hasher.combine(place) }
}

/// A program that runs containers, and tells where they are.
public enum ContainerEngine: String, Sendable, Hashable, CaseIterable {
    case podman
    case docker
}

extension AttachmentPlan.Place: CustomStringConvertible {
    /// As the file names it, and as a person reads it: `/run/netns/x`, `process 1234`, `podman:web`.
    public var description: String {
        switch self {
        case .namespace(let path): path
        case .process(let pid): "process \(pid)"
        case .container(let engine, let name): "\(engine.rawValue):\(name)"
        }
    }
}

/// A device of the machine that is bound to an interface while the topology is up.
public struct DevicePlan: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// The networks of hosts behind it, without headers of a circuit.
    public var behind: [IPPrefix]
    /// True if hosts are learnt behind it or behind one of its circuits; otherwise only `stations` are there.
    public var learns: Bool
    /// The MAC addresses behind it that the file names.
    public var stations: [MACAddress]

    /// Memberwise.
    public init(name: String, behind: [IPPrefix] = [], learns: Bool = false, stations: [MACAddress] = []) {
        self.name = name
        self.behind = behind
        self.learns = learns
        self.stations = stations
    }
}
