import Wire

/// A virtual machine, and what it is started from.
public struct MachinePlan: Sendable, Hashable {
    /// What runs the machine's instructions.
    public enum Accelerator: String, Sendable, Hashable, CaseIterable {
        /// The processor (KVM).
        case kvm
        /// A translator, on every machine and many times slower.
        case tcg
    }
    /// The absolute path of its disk; nil: it has none.
    public var disk: String?
    /// The absolute path of the Linux kernel that is started; nil: what the disk starts.
    public var kernel: String?
    /// The absolute path of the kernel's first file system.
    public var initrd: String?
    /// What is added to the kernel's command line.
    public var append: String?
    /// Its memory, in octets.
    public var memory: UInt64
    /// How many processors it has.
    public var processors: Int
    /// nil: KVM if this process may use it.
    public var accelerator: Accelerator?

    /// A machine of a disk or a kernel.
    public init(memory: UInt64 = 256 << 20, processors: Int = 1) {
        self.memory = memory
        self.processors = processors
    }
}

/// Where a node's namespace has a place beside the virtual machine in it, on the first of its legs.
///
/// The leg's addresses and MAC address are the machine's. What asks the machine something in the node's namespace (readiness,
/// health checks, commands) needs an address of its own in the same network.
public struct VantagePlan: Sendable, Hashable {
    /// The index of the leg.
    public var leg: Int
    /// The address of the namespace there, which nothing else in the topology has.
    public var address: InterfaceAddress
    /// The machine's address there.
    public var machine: IPAddress

    /// Memberwise.
    public init(leg: Int, address: InterfaceAddress, machine: IPAddress) {
        self.leg = leg
        self.address = address
        self.machine = machine
    }
}

extension IPAddress {
    /// What stands for the node itself where its programs are asked stands for the virtual machine in it.
    fileprivate func aimed(at machine: IPAddress) -> IPAddress { isLoopback ? machine : self }
}

extension NodeQuestion {
    fileprivate func aimed(at machine: IPAddress) -> NodeQuestion {
        switch self {
        case .datagram(let address, let port, let send, let expect):
            .datagram(address: address.aimed(at: machine), port: port, send: send, expect: expect)
        case .dns(let server, let port, let question, let expect):
            .dns(server: server.aimed(at: machine), port: port, question: question, expect: expect)
        case .log, .file: self
        }
    }
}

extension ReadinessPlan {
    /// The same, asked of the virtual machine in the node in place of the node itself.
    public func aimed(at machine: IPAddress) -> ReadinessPlan {
        switch self {
        case .tcp(let address, let port): .tcp(address: address.aimed(at: machine), port: port)
        case .http(let address, let port, let path, let host, let status):
            .http(address: address.aimed(at: machine), port: port, path: path, host: host, status: status)
        case .question(let question): .question(question.aimed(at: machine))
        case .started, .command: self
        }
    }
}

extension HealthCheckPlan.Probe {
    /// The same, asked of the virtual machine in the node in place of the node itself.
    public func aimed(at machine: IPAddress) -> HealthCheckPlan.Probe {
        switch self {
        case .tcp(let address, let port): .tcp(address: address.aimed(at: machine), port: port)
        case .http(let address, let port, let path, let host, let status, let body):
            .http(address: address.aimed(at: machine), port: port, path: path, host: host, status: status, body: body)
        case .question(let question): .question(question.aimed(at: machine))
        case .neighbour, .echo, .command, .heartbeat: self
        }
    }
}
