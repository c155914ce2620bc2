import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting

/// The memory of a program that a control group bounds.
struct MemoryWatch {
    let group: ProgramGroup
    /// How many of its processes had been ended when it was looked last.
    var kills: Int
    /// The limits, for a person.
    let limits: String
}

/// What a program may use.
extension NodeRuntime {
    /// How a program is bounded from its start.
    struct Bounds {
        var group: ProgramGroup?
        /// What applies to each process of it.
        var limits: [Int32: UInt64] = [:]
    }

    /// The time between two looks at the memory of a program.
    private static let memoryPause = Duration.seconds(1)

    /// Makes the groups of the program about to be started. What no group can bound is bounded for each process, as far
    /// as the kernel can do that, and the log says so.
    func bounds(_ log: OutputLog) throws(ApplianceError) -> Bounds? {
        let host = host ?? self
        // The `run` command has no limits beside its node's.
        let whole = host.plan.process.confinement.limits
        let own = program == nil ? LimitsPlan() : plan.process.confinement.limits
        var bounds = Bounds()
        var refused: [ControlGroups.Controller] = []
        if let groups = host.groups {
            do throws(ApplianceError) {
                bounds.group = try groups.group(
                    of: plan.name, program: program, whole: whole, own: own, refused: &refused)
            } catch {
                throw ApplianceError(error.status, "\(place): \(error.message)", hint: error.hint)
            }
        } else {
            refused = ControlGroups.Controller.allCases
        }
        func least(_ controller: ControlGroups.Controller) -> UInt64? {
            guard refused.contains(controller) else { return nil }
            return [whole.value(for: controller), own.value(for: controller)].compactMap { $0 }.min()
        }
        if let files = plan.process.confinement.limits.files { bounds.limits[ResourceLimit.files] = UInt64(files) }
        bounds.limits[ResourceLimit.addressSpace] = least(.memory)
        bounds.limits[ResourceLimit.processes] = least(.processes)
        for (resource, value) in bounds.limits { bounds.limits[resource] = min(value, Self.most(resource)) }
        let notes = Self.notes(refused.filter { least($0) != nil })
        loop.sync {
            for note in notes { log.note("\(self.plan.name): \(note)") }
            self.memory = bounds.group.flatMap { group in
                group.memoryKills.map { MemoryWatch(group: group, kills: $0, limits: Self.text(whole, own)) }
            }
            if self.memory != nil { self.watchMemory() }
        }
        return bounds
    }

    private static func notes(_ refused: [ControlGroups.Controller]) -> [String] {
        refused.map { controller in
            switch controller {
            case .memory: "no control group can be had for memory: each process alone is bounded (RLIMIT_AS)"
            case .processes:
                "no control group can be had for processes: those of its user are bounded (RLIMIT_NPROC), and root's are not"
            case .processor: "no control group can be had for the processor: its time is not bounded"
            }
        }
    }

    /// What this process may give of a resource.
    private static func most(_ resource: Int32) -> UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(UInt32(resource)), &limit) == 0 ? UInt64(limit.rlim_max) : .max
    }

    private static func text(_ whole: LimitsPlan, _ own: LimitsPlan) -> String {
        let parts = [
            own.memory.map { "\(LimitsPlan.text(octets: $0)) for it" },
            whole.memory.map { "\(LimitsPlan.text(octets: $0)) for the node" },
        ]
        return parts.compactMap { $0 }.joined(separator: ", ")
    }

    // MARK: - Out of memory

    private func watchMemory() {
        let serial = attempt
        loop.after(Self.memoryPause) { [weak self] in
            guard let self, memory != nil, attempt == serial, !closing else { return }
            _ = noteMemory()
            watchMemory()
        }
    }

    /// Looks whether the kernel has ended processes of the program since the last look, and tells of them.
    ///
    /// - Returns: The end of a sentence, if it has.
    func noteMemory() -> String? {
        loop.preconditionCurrent()
        guard let watch = memory, let kills = watch.group.memoryKills, kills > watch.kills else { return nil }
        memory?.kills = kills
        let count = kills - watch.kills
        let what =
            "the kernel ended \(count == 1 ? "a process" : "\(count) processes") of \(subject), because memory ran out (limit: "
            + "\(watch.limits))"
        log?.note("\(plan.name): \(what)")
        ranOut?(self, what)
        return ", because memory ran out (limit: \(watch.limits))"
    }
}
