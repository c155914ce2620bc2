import EventLoop
import Glibc
import Plan
import Reporting
import Synchronization

/// The control groups of one run of a topology: one for each node with limits, and one below it for each of its programs.
///
/// They are written into the state before they are made, and bear the run's name, so that `down` and `prune` find them
/// whatever ends this process. Any thread may use it.
package final class TopologyGroups: Sendable {
    private struct State {
        var groups: ControlGroups?
        /// The run's own groups, one in each hierarchy that is used.
        var roots: [String: ControlGroups.Place] = [:]
        /// The open groups of programs, by their paths.
        var members: [String: ProgramGroup] = [:]
    }

    private let name: String
    private let note: @Sendable ([String]) throws(ApplianceError) -> Void
    private let state = Mutex(State())

    /// - Parameter note: Writes down the paths that are about to be made.
    package init(
        topology: String, run: String, note: @escaping @Sendable ([String]) throws(ApplianceError) -> Void
    ) {
        name = ControlGroups.name(topology: topology, run: run)
        self.note = note
    }

    /// The group of a program with the limits of its node and its own; nil where nothing needs one, or no controller is
    /// to be had.
    ///
    /// - Parameters:
    ///   - program: nil: the node's `run` command.
    ///   - refused: Gets what cannot be bounded by a group.
    /// - Throws: `ApplianceError` if a group cannot be made.
    package func group(
        of node: String, program: String?, whole: LimitsPlan, own: LimitsPlan,
        refused: inout [ControlGroups.Controller]
    ) throws(ApplianceError) -> ProgramGroup? {
        let wanted = ControlGroups.Controller.allCases.filter {
            whole.value(for: $0) != nil || own.value(for: $0) != nil
        }
        guard !wanted.isEmpty else { return nil }
        let result = state.withLock { state -> Result<(ProgramGroup?, [ControlGroups.Controller]), ApplianceError> in
            do throws(ApplianceError) {
                return .success(try make(&state, node, program, whole, own, wanted))
            } catch {
                return .failure(error)
            }
        }
        let (group, without) = try result.get()
        refused = without
        return group
    }

    private func make(
        _ state: inout State, _ node: String, _ program: String?, _ whole: LimitsPlan, _ own: LimitsPlan,
        _ wanted: [ControlGroups.Controller]
    ) throws(ApplianceError) -> (ProgramGroup?, [ControlGroups.Controller]) {
        let groups = state.groups ?? ControlGroups()
        state.groups = groups
        let without = wanted.filter { groups.places[$0] == nil }
        let used = wanted.filter { groups.places[$0] != nil }
        guard !used.isEmpty else { return (nil, without) }
        let missing = Set(used.compactMap { groups.places[$0] }).filter { state.roots["\($0.path)/\(name)"] == nil }
        if !missing.isEmpty {
            for place in missing { state.roots["\(place.path)/\(name)"] = place }
            try note(state.roots.keys.sorted())
        }
        let folder = DerivedNames.node(node)
        let leaf = program.map { "program-\(DerivedNames.node($0))" } ?? "run"
        var members: [ProgramGroup.Member] = []
        for place in Set(used.compactMap { groups.places[$0] }) {
            let controllers = used.filter { groups.places[$0] == place }
            let root = "\(place.path)/\(name)"
            let paths = [root, "\(root)/\(folder)", "\(root)/\(folder)/\(leaf)"]
            for (index, path) in paths.enumerated() {
                try Self.makeFolder(path)
                guard place.isUnified, index < paths.count - 1 else { continue }
                for controller in controllers {
                    try Self.write("+\(controller.rawValue)", "\(path)/cgroup.subtree_control", what: controller.word)
                }
            }
            for controller in controllers {
                try Self.bound(controller, whole.value(for: controller), in: paths[1], isUnified: place.isUnified)
                try Self.bound(controller, own.value(for: controller), in: paths[2], isUnified: place.isUnified)
            }
            // A limit that the plan no longer has is taken back: groups outlive a restart, and those of version 2 have every
            // controller.
            for controller in ControlGroups.Controller.allCases
            where place.isUnified && groups.places[controller] == place && !controllers.contains(controller) {
                for path in paths.dropFirst() where access("\(path)/\(controller.limitFile)", F_OK) == 0 {
                    try Self.bound(controller, nil, in: path, isUnified: true)
                }
            }
            members.append(ProgramGroup.Member(place: place, leaf: paths[2], controllers: controllers))
        }
        let key = members.map(\.leaf).sorted().joined(separator: " ")
        if let known = state.members[key] { return (known, without) }
        let group = try ProgramGroup(members)
        state.members[key] = group
        return (group, without)
    }

    private static func makeFolder(_ path: String) throws(ApplianceError) {
        guard mkdir(path, 0o755) != 0, errno != EEXIST else { return }
        throw .system("cannot make the control group \(path)", errno: errno)
    }

    fileprivate static func write(_ text: String, _ path: String, what: String) throws(ApplianceError) {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system("cannot bound the \(what): \(path)", errno: errno) }
        defer { close(file) }
        guard writeAll(file, Array(text.utf8)) else {
            throw .system("cannot bound the \(what): \(path)", errno: errno)
        }
    }

    /// Period of the scheduler's quota, in microseconds.
    private static let period = 100_000

    /// Sets the limit of a group; nil: none.
    private static func bound(
        _ controller: ControlGroups.Controller, _ value: UInt64?, in path: String, isUnified: Bool
    ) throws(ApplianceError) {
        let what = controller.word
        switch controller {
        case .memory:
            guard isUnified else {
                let text = value.map { "\($0)" } ?? "-1"
                // With swap the sum must never be less than memory alone: it goes first upwards and last downwards.
                let sum = "\(path)/memory.memsw.limit_in_bytes"
                if access(sum, W_OK) == 0 { try? write("-1", sum, what: what) }
                try write(text, "\(path)/memory.limit_in_bytes", what: what)
                if value != nil, access(sum, W_OK) == 0 { try write(text, sum, what: what) }
                return
            }
            try write(value.map { "\($0)" } ?? "max", "\(path)/memory.max", what: what)
            let swap = "\(path)/memory.swap.max"
            if access(swap, W_OK) == 0 { try write(value == nil ? "max" : "0", swap, what: what) }
        case .processor:
            let quota = value.map { "\($0 * UInt64(period) / 100)" }
            guard isUnified else {
                try write("\(period)", "\(path)/cpu.cfs_period_us", what: what)
                return try write(quota ?? "-1", "\(path)/cpu.cfs_quota_us", what: what)
            }
            try write("\(quota ?? "max") \(period)", "\(path)/cpu.max", what: what)
        case .processes:
            try write(value.map { "\($0)" } ?? "max", "\(path)/pids.max", what: what)
        }
    }

    /// Takes the groups of a node away, which nothing runs in any more.
    package func remove(node: String) {
        let roots = state.withLock { state in
            let part = "/\(DerivedNames.node(node))/"
            state.members = state.members.filter { !$0.key.contains("/\(name)\(part)") }
            return state.roots.keys.map { "\($0)/\(DerivedNames.node(node))" }
        }
        _ = ControlGroups.remove(roots)
    }
}

extension LimitsPlan {
    /// What a controller is told.
    package func value(for controller: ControlGroups.Controller) -> UInt64? {
        switch controller {
        case .memory: memory
        case .processor: processor.map { UInt64($0) }
        case .processes: processes.map { UInt64($0) }
        }
    }
}

/// The groups of one program, one in each hierarchy, open for those that are to be in them.
package final class ProgramGroup: Sendable {
    struct Member: Sendable {
        var place: ControlGroups.Place
        /// The program's group.
        var leaf: String
        var controllers: [ControlGroups.Controller]
    }

    private let members: [Member]
    /// The files through which a process enters.
    package let entrances: [Int32]

    init(_ members: [Member]) throws(ApplianceError) {
        self.members = members
        var opened: [Int32] = []
        for member in members {
            let file = open("\(member.leaf)/cgroup.procs", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else {
                let code = errno
                for file in opened { close(file) }
                throw .system("cannot open the control group \(member.leaf)", errno: code)
            }
            opened.append(file)
        }
        entrances = opened
    }

    deinit {
        for file in entrances { close(file) }
    }

    /// How many of the program's processes the kernel has ended because memory ran out; nil where no group bounds it.
    package var memoryKills: Int? {
        guard let member = members.first(where: { $0.controllers.contains(.memory) }) else { return nil }
        let file = member.place.isUnified ? "memory.events" : "memory.oom_control"
        for line in ControlGroups.lines("\(member.leaf)/\(file)") {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == "oom_kill" { return Int(words[1]) }
        }
        return nil
    }
}
