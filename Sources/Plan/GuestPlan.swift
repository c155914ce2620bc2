/// The application of a node, if it is no command of the machine's: it brings its own files, or its own kernel.
public enum GuestPlan: Sendable, Hashable {
    /// A container of an image, in the node's network namespace.
    case image(ContainerImagePlan)
    /// A virtual machine, whose network devices are on the node's legs.
    case machine(MachinePlan)
}

/// A container image, and how a container of it is run.
public struct ContainerImagePlan: Sendable, Hashable {
    /// When the image is fetched from its registry.
    public enum Pull: String, Sendable, Hashable, CaseIterable {
        case missing
        case always
        case never
    }
    /// A folder or file of the machine that the container sees.
    public struct Mount: Sendable, Hashable {
        /// The absolute path on the machine.
        public var source: String
        /// The absolute path in the container.
        public var target: String
        /// True if the container may write there.
        public var isWritable: Bool

        /// Memberwise.
        public init(source: String, target: String, isWritable: Bool) {
            self.source = source
            self.target = target
            self.isWritable = isWritable
        }
    }
    /// The image's name, as its engine takes it.
    public var name: String
    /// When it is fetched.
    public var pull = Pull.missing
    /// The words of its command; empty: the image's own.
    public var command: [String] = []
    /// What it sees of the machine, in the order of the file.
    public var mounts: [Mount] = []

    /// An image with its own command.
    public init(name: String) { self.name = name }
}

extension GuestPlan {
    /// The key of the file that says it.
    public var key: String {
        switch self {
        case .image: "image"
        case .machine: "machine"
        }
    }

    /// What stands for its command where a node's commands are told.
    public var summary: String {
        switch self {
        case .image(let image): "image \(image.name)"
        case .machine(let machine): "machine \(machine.disk ?? machine.kernel ?? "")"
        }
    }

    /// The same guest with each text that its programs get replaced by another one.
    func mappingTexts(_ body: (String) -> String) -> GuestPlan {
        switch self {
        case .image(var image):
            image.command = image.command.map(body)
            return .image(image)
        case .machine(var machine):
            machine.append = machine.append.map(body)
            return .machine(machine)
        }
    }
}

extension NodePlan {
    /// The image that its application is a container of; nil: there is none.
    public var image: ContainerImagePlan? {
        if case .image(let image)? = process.guest { image } else { nil }
    }

    /// The virtual machine that is its application; nil: there is none.
    public var machine: MachinePlan? {
        if case .machine(let machine)? = process.guest { machine } else { nil }
    }
}
