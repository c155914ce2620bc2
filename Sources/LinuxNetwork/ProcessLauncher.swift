import CLinux

/// A program to start.
public struct Command: Hashable, Sendable {
    /// The program's absolute path.
    public var path: String
    /// Its arguments, the zeroth (its own name) among them.
    public var arguments: [String]
    /// Its whole environment, as NAME=value.
    public var environment: [String]
    /// The directory where it starts; nil: the node's root, or this process's directory.
    public var workingDirectory: String?
    /// Its descriptors: number there → descriptor here. 0, 1 and 2 are /dev/null where absent; all others are closed.
    public var descriptors: [Int32: Int32]
    /// Keep this process's session, process group and terminal, as an interactive `exec` wants; a session of its own
    /// otherwise.
    public var keepsSession: Bool
    /// SIGKILL when this process ends, however it ends.
    public var diesWithParent: Bool
    /// Resource limits (RLIMIT_FSIZE and the like), soft and hard, which all that it starts inherits.
    public var limits: [Int32: UInt64] = [:]
    /// It is the first process of a PID namespace of its own, where the kernel makes one: what it starts ends with it. In a
    /// node it is the node's.
    public var ownsProcesses = false
    /// How readily the kernel ends it, and all that it starts, when memory runs out, from -1000 to 1000 (oom_score_adj
    /// in proc(5)); nil: as readily as this process. Settings that the kernel does not grant stay as they are.
    public var memoryScore: Int32?
    /// The socket that hands over the listener of its witness; nil: it has none.
    public var witness: Int32?
    /// Who it is, and what it may do; nil: as this process.
    public var rights: ProgramRights?
    /// Descriptors of the files of control groups (cgroup.procs) that it belongs to from its beginning.
    public var controlGroups: [Int32] = []

    /// A program to start; see the properties.
    public init(
        _ path: String, arguments: [String], environment: [String] = [], workingDirectory: String? = nil,
        descriptors: [Int32: Int32] = [:], keepsSession: Bool = false, diesWithParent: Bool = false
    ) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.descriptors = descriptors
        self.keepsSession = keepsSession
        self.diesWithParent = diesWithParent
    }

    /// `/bin/sh -c script`.
    public static func shell(
        _ script: String, environment: [String] = [], workingDirectory: String? = nil,
        descriptors: [Int32: Int32] = [:]
    ) -> Command {
        Command(
            "/bin/sh", arguments: ["sh", "-c", script], environment: environment, workingDirectory: workingDirectory,
            descriptors: descriptors)
    }
}

/// The numbers of resource limits.
public enum ResourceLimit {
    /// The largest file that may be written, in octets (RLIMIT_FSIZE).
    public static let fileSize = Int32(CLINUX_LIMIT_FILE_SIZE)
    /// The largest core dump, in octets (RLIMIT_CORE).
    public static let core = Int32(CLINUX_LIMIT_CORE)
    /// File locks (RLIMIT_LOCKS), which Linux does not look at.
    public static let locks = Int32(CLINUX_LIMIT_LOCKS)
    /// Processes and threads of its user (RLIMIT_NPROC); those of root are not counted.
    public static let processes = Int32(CLINUX_LIMIT_PROCESSES)
    /// Open files of one process (RLIMIT_NOFILE).
    public static let files = Int32(CLINUX_LIMIT_FILES)
    /// The address space of one process, in octets (RLIMIT_AS).
    public static let addressSpace = Int32(CLINUX_LIMIT_ADDRESS_SPACE)
}

/// Who a program is, and what it may do.
public struct ProgramRights: Hashable, Sendable {
    /// A user that a program becomes, and that gains nothing by executing a file.
    public struct User: Hashable, Sendable {
        /// Its number.
        public var number: UInt32
        /// The number of its group.
        public var group: UInt32
        /// The numbers of the other groups that it is in.
        public var groups: [UInt32]
        /// The capabilities that it has nevertheless, as bits.
        public var kept: UInt64

        /// Memberwise.
        public init(number: UInt32, group: UInt32, groups: [UInt32], kept: UInt64) {
            self.number = number
            self.group = group
            self.groups = groups
            self.kept = kept
        }
    }
    /// The capabilities that it, and all that it starts, can ever have, as bits (capabilities(7)).
    public var bounding: UInt64
    /// nil: this process's user.
    public var user: User?

    /// Memberwise.
    public init(bounding: UInt64, user: User? = nil) {
        self.bounding = bounding
        self.user = user
    }
}

/// Starting processes: nodes' inits and programs.
///
/// All are cloned on one thread that lives as long as the process. The kernel sends the death signal when the parent's
/// *thread* ends.
public enum ProcessLauncher {
    /// Starts PID 1 of a node in the given network namespace. It gets its own PID, mount, UTS, IPC and cgroup
    /// namespaces, and its own /proc, /sys, /run and /dev/shm. The parts of these that are the machine's are read-only.
    /// It reaps processes. When this process ends, the kernel kills it and all of the node's processes.
    ///
    /// Killing it kills the node's processes. It ends only when they are reaped. This process must reap the programs
    /// that it spawned: wait for them first, or on other threads.
    ///
    /// - Parameters:
    ///   - refused: Takes the folders over which the kernel refused a layer: they stay read-only.
    ///   - unseen: Takes the number of file systems below layers that are not seen, if they are too many.
    /// - Throws: The kernel's refusal, with the step that failed.
    public static func startInit(
        in namespace: NetworkNamespace, view: NodeView = NodeView(), refused: ([String]) -> Void = { _ in },
        unseen: (Int) -> Void = { _ in }
    ) throws(SystemError) -> Pidfd {
        let strings = CStrings()
        func pointer(_ text: String?) -> UnsafePointer<CChar>? { text.map { UnsafePointer(strings.pointer($0)) } }
        func binds(_ files: [String: String], made: Bool) -> [clinux_bind] {
            files.sorted { $0.key < $1.key }.map {
                clinux_bind(
                    source: strings.pointer($0.value), target: strings.pointer($0.key), is_made: made ? 1 : 0)
            }
        }
        let bound = binds(view.binds, made: false) + binds(view.files, made: true)
        // Folders come before those in them.
        let (privates, writables) = (view.privates.sorted().map(pointer), view.writables.sorted().map(pointer))
        let hostname = pointer(view.hostname)
        let (directory, topology, share) = (
            pointer(view.directory), pointer(view.topologyDirectory), pointer(view.shareDirectory)
        )
        let root = pointer(view.root)
        // A layer shows one file system; those that are mounted below it have to be shown by themselves.
        let covers = !view.keepsMachine && view.root == nil
        let inner =
            covers
            ? InnerMounts(
                below: NodeView.layered + view.privates, in: (try? File.read("/proc/self/mountinfo")) ?? "") : nil
        let innerMounts = (inner?.mounts ?? []).map {
            clinux_inner_mount(path: strings.pointer($0.path), is_layered: $0.isLayered ? 1 : 0)
        }
        let (process, refusals) = try PermanentThread.shared.run { () throws(SystemError) in
            var stage = CLINUX_STAGE_NONE
            var refusals: UInt32 = 0
            let pid = bound.withUnsafeBufferPointer { bound in
                privates.withUnsafeBufferPointer { privates in
                    writables.withUnsafeBufferPointer { writables in
                        innerMounts.withUnsafeBufferPointer { inner in
                            var node = clinux_node_init(
                                network_namespace: namespace.descriptor, hostname: hostname, directory: directory,
                                topology_directory: topology, share_directory: share, binds: bound.baseAddress,
                                bind_count: bound.count, keeps_machine: view.keepsMachine ? 1 : 0, root: root,
                                privates: privates.baseAddress, private_count: privates.count,
                                writables: writables.baseAddress, writable_count: writables.count,
                                inner_mounts: inner.baseAddress, inner_mount_count: inner.count)
                            return clinux_node_init(&node, &stage, &refusals)
                        }
                    }
                }
            }
            withExtendedLifetime(strings) {}
            try SystemError.check(pid, "start the node's init (\(stage.sentence))", namespace.name)
            return (try Pidfd(pid: pid), refusals)
        }
        let folders = NodeView.layered.enumerated().filter { refusals & 1 << UInt32($0.offset) != 0 }.map(\.element)
        if !folders.isEmpty { refused(folders) }
        if let inner, inner.leftOut > 0 { unseen(inner.leftOut) }
        return process
    }

    /// Starts a program, as a child of this process.
    ///
    /// - Parameters:
    ///   - node: A node's init, whose network, mount and PID namespaces the program runs in; nil for this process's own.
    ///   - network: A network namespace that it runs in where there is no node; nil for this process's own.
    /// - Throws: The error between the fork and the program's first instruction.
    public static func spawn(
        _ command: Command, node: Pidfd? = nil, network: NetworkNamespace? = nil
    ) throws(SystemError) -> Pidfd {
        let strings = CStrings()
        let path = strings.pointer(command.path)
        var arguments = command.arguments.map { Optional(strings.pointer($0)) } + [nil]
        var environment = command.environment.map { Optional(strings.pointer($0)) } + [nil]
        let directory = command.workingDirectory.map { UnsafePointer(strings.pointer($0)) }
        let placed = command.descriptors.map { clinux_placed_fd(source: $0.value, target: $0.key) }
        let limits = command.limits.map { clinux_limit(resource: $0.key, value: $0.value) }
        return try PermanentThread.shared.run { () throws(SystemError) in
            var stage = CLINUX_STAGE_NONE
            let pid = arguments.withUnsafeMutableBufferPointer { arguments in
                environment.withUnsafeMutableBufferPointer { environment in
                    placed.withUnsafeBufferPointer { placed in
                        limits.withUnsafeBufferPointer { limits in
                            withRights(command) { rights, controlGroups in
                                var spawn = clinux_spawn(
                                    path: path, arguments: arguments.baseAddress, environment: environment.baseAddress,
                                    working_directory: directory, node: node?.descriptor ?? -1,
                                    network: network?.descriptor ?? -1, fds: placed.baseAddress,
                                    fd_count: placed.count, keep_session: command.keepsSession ? 1 : 0,
                                    parent_death_signal: command.diesWithParent ? SIGKILL : 0,
                                    own_processes: command.ownsProcesses ? 1 : 0,
                                    oom_score_set: command.memoryScore == nil ? 0 : 1,
                                    oom_score: command.memoryScore ?? 0,
                                    limits: limits.baseAddress, limit_count: limits.count, rights: rights,
                                    control_groups: controlGroups.baseAddress, control_group_count: controlGroups.count,
                                    witness: command.witness ?? -1)
                                return clinux_spawn(&spawn, &stage)
                            }
                        }
                    }
                }
            }
            withExtendedLifetime(strings) {}
            try SystemError.check(pid, "start the program (\(stage.sentence))", command.path)
            return try Pidfd(pid: pid)
        }
    }
}

/// Calls `body` with a command's rights, if it has any, and its control groups, as the C call takes them.
private func withRights<Result>(
    _ command: Command, _ body: (UnsafePointer<clinux_rights>?, UnsafeBufferPointer<Int32>) -> Result
) -> Result {
    command.controlGroups.withUnsafeBufferPointer { controlGroups in
        guard let given = command.rights else { return body(nil, controlGroups) }
        return (given.user?.groups ?? []).withUnsafeBufferPointer { groups in
            var rights = clinux_rights(
                bounding: given.bounding, changes_user: given.user == nil ? 0 : 1, user: given.user?.number ?? 0,
                group: given.user?.group ?? 0, groups: groups.baseAddress, group_count: groups.count,
                kept: given.user?.kept ?? 0)
            return withUnsafePointer(to: &rights) { body($0, controlGroups) }
        }
    }
}

/// Zero-terminated copies that live as long as this object.
private final class CStrings {
    private var pointers: [UnsafeMutablePointer<CChar>] = []

    func pointer(_ text: String) -> UnsafeMutablePointer<CChar> {
        let copy = strdup(text)!
        pointers.append(copy)
        return copy
    }

    deinit {
        for pointer in pointers { free(pointer) }
    }
}

extension clinux_stage {
    /// The step that failed.
    var sentence: String {
        switch self {
        case CLINUX_STAGE_CLONE: "making its process"
        case CLINUX_STAGE_ENTER_NETWORK: "entering the network namespace"
        case CLINUX_STAGE_PRIVATE_MOUNTS: "making its mounts private"
        case CLINUX_STAGE_NAME: "naming it"
        case CLINUX_STAGE_PROTECT: "making the machine's part of /proc and /sys read-only"
        case CLINUX_STAGE_MOUNT_PROC: "mounting /proc"
        case CLINUX_STAGE_MOUNT_SYS: "mounting /sys"
        case CLINUX_STAGE_MOUNT_RUN: "mounting /run"
        case CLINUX_STAGE_MOUNT_SHARED_MEMORY: "mounting /dev/shm"
        case CLINUX_STAGE_BIND_DIRECTORY: "binding the node's directory"
        case CLINUX_STAGE_BIND_FILE: "binding a file"
        case CLINUX_STAGE_MAKE_FILE: "making a place for one of its files"
        case CLINUX_STAGE_READ_ONLY: "making the machine's files read-only"
        case CLINUX_STAGE_LAYER: "putting a private layer over a folder"
        case CLINUX_STAGE_WRITABLE: "binding a writable folder"
        case CLINUX_STAGE_ROOT: "entering its root directory"
        case CLINUX_STAGE_ENTER_NODE: "entering the node"
        case CLINUX_STAGE_SECOND_CLONE: "making its process in the node"
        case CLINUX_STAGE_SESSION: "making its session"
        case CLINUX_STAGE_WORKING_DIRECTORY: "entering its working directory"
        case CLINUX_STAGE_DESCRIPTORS: "placing its descriptors"
        case CLINUX_STAGE_LIMITS: "limiting it"
        case CLINUX_STAGE_CONTROL_GROUP: "entering its control group"
        case CLINUX_STAGE_RIGHTS: "taking its user and capabilities"
        case CLINUX_STAGE_EXECUTE: "executing it"
        case CLINUX_STAGE_DIED: "it died before it was ready"
        default: "starting"
        }
    }
}
