import EventLoop
import Glibc
import Plan
import Reporting
import Wire

/// Where this process may make control groups, which bound what programs use (cgroups(7)).
///
/// A controller of version 2 is used where groups can be made for it: in this process's own group or in one above, where the
/// controller is enabled for groups below. Else that of version 1 is used, if it is mounted. Nothing is enabled or mounted
/// that is not yet: the machine is left as it was found.
package struct ControlGroups: Sendable {
    /// What is bounded; the raw value is the kernel's name.
    package enum Controller: String, Sendable, Hashable, CaseIterable {
        case memory
        case processor = "cpu"
        case processes = "pids"

        /// For a person.
        package var word: String { self == .processor ? "processor" : "\(self)" }

        /// The file of version 2 that has its limit.
        var limitFile: String { "\(rawValue).max" }
    }

    /// A group in which groups can be made.
    package struct Place: Sendable, Hashable {
        package var path: String
        package var isUnified: Bool
    }

    /// The place for each controller that there is one for.
    package private(set) var places: [Controller: Place] = [:]
    /// Why there is none, for the others; and the hint.
    package private(set) var refusals: [Controller: (why: String, hint: String)] = [:]

    /// Looks where groups can be made.
    ///
    /// - Parameters:
    ///   - proc: Where /proc is.
    ///   - root: What is in front of the mounts' paths.
    package init(proc: String = "/proc", root: String = "") {
        let own = Self.lines("\(proc)/self/cgroup").map {
            $0.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        }
        .filter { $0.count == 3 }
        let mounts = Self.mounts("\(proc)/self/mountinfo")
        for controller in Controller.allCases {
            var why = "the kernel has no controller '\(controller.rawValue)'"
            var hint = "use a kernel that has it"
            for mount in mounts {
                guard mount.isUnified || mount.options.contains(controller.rawValue),
                    let path = own.first(where: {
                        mount.isUnified ? $0[0] == "0" : $0[1].split(separator: ",").contains(controller.rawValue[...])
                    })?[2]
                else { continue }
                let below = mount.folders(of: String(path)).map { root + $0 }
                if mount.isUnified {
                    let known = below.last.map { Self.words("\($0)/cgroup.controllers") } ?? []
                    guard
                        below.contains(where: { Self.words("\($0)/cgroup.controllers").contains(controller.rawValue) })
                            || known.contains(controller.rawValue)
                    else { continue }
                    let enabled = below.filter {
                        Self.words("\($0)/cgroup.subtree_control").contains(controller.rawValue)
                    }
                    guard let place = enabled.first(where: Self.isOurs) else {
                        why =
                            enabled.isEmpty
                            ? "no group above this process has the controller '\(controller.rawValue)' enabled for groups below it"
                            : "this user may not make groups in \(enabled[0])"
                        hint =
                            enabled.isEmpty
                            ? "enable it: echo +\(controller.rawValue) > \(below.last ?? "")/cgroup.subtree_control"
                            : "run it with sudo, or in a group of yours: systemd-run --user --scope -p Delegate=yes tapline …"
                        continue
                    }
                    places[controller] = Place(path: place, isUnified: true)
                } else if let place = below.first(where: { access($0, F_OK) == 0 }) {
                    guard Self.isOurs(place) else {
                        (why, hint) = ("this user may not make groups in \(place)", "run it with sudo")
                        continue
                    }
                    places[controller] = Place(path: place, isUnified: false)
                } else {
                    continue
                }
                break
            }
            if places[controller] == nil { refusals[controller] = (why, hint) }
        }
    }

    /// True if this process may make groups there and move processes into them.
    private static func isOurs(_ path: String) -> Bool {
        access(path, W_OK) == 0 && access("\(path)/cgroup.procs", W_OK) == 0
    }

    // MARK: - Mounts

    private struct Mount {
        /// The group that is at the mount's point.
        var root: String
        var point: String
        var isUnified: Bool
        var options: [String]

        /// The folder of a group, then those of the groups above it, up to the mount's point.
        func folders(of path: String) -> [String] {
            var rest: Substring = ""
            if root == "/" {
                rest = path[...]
            } else if path == root || path.hasPrefix("\(root)/") {
                rest = path.dropFirst(root.count)
            }
            var parts = rest.split(separator: "/")
            // A group outside of what is mounted is nowhere below the point.
            if parts.contains("..") { parts = [] }
            var folders: [String] = []
            while true {
                folders.append(([point] + parts.map(String.init)).joined(separator: "/"))
                guard !parts.isEmpty else { return folders }
                parts.removeLast()
            }
        }
    }

    /// Version 2 first.
    private static func mounts(_ path: String) -> [Mount] {
        let all = lines(path).compactMap { line -> Mount? in
            let halves = line.split(separator: " - ", maxSplits: 1).map { $0.split(separator: " ").map(String.init) }
            guard halves.count == 2, halves[0].count > 5, let kind = halves[1].first,
                ["cgroup", "cgroup2"].contains(kind)
            else { return nil }
            return Mount(
                root: halves[0][3], point: halves[0][4], isUnified: kind == "cgroup2",
                options: (halves[1].last ?? "").split(separator: ",").map(String.init))
        }
        return all.filter(\.isUnified) + all.filter { !$0.isUnified }
    }

    /// The points of all mounts.
    static var points: [String] { mounts("/proc/self/mountinfo").map(\.point) }

    static func lines(_ path: String) -> [String] {
        String(decoding: readFile(path, limit: 4 << 20) ?? [], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private static func words(_ path: String) -> [String] {
        lines(path).flatMap { $0.split(separator: " ").map(String.init) }
    }
}

/// The groups that bear the name of a topology.
extension ControlGroups {
    /// The beginning of the names of all groups of Tapline's.
    private static let prefix = "tapline-"

    /// The name of a run's group, which is its mark as well.
    static func name(topology: String, run: String) -> String { "\(prefix)\(DerivedNames.topology(topology))-\(run)" }

    /// The topology whose group has a name; nil for what is no group of Tapline's.
    static func topology(of name: String) -> String? {
        guard name.hasPrefix(prefix) else { return nil }
        let parts = name.dropFirst(prefix.count)
        guard let dash = parts.lastIndex(of: "-"), dash > parts.startIndex else { return nil }
        let run = parts[parts.index(after: dash)...]
        guard run.utf8.count == 16, run.allSatisfy(\.isHexDigit) else { return nil }
        return String(parts[..<dash])
    }

    /// Every group of a topology's on this machine: topology → paths.
    package static func all() -> [String: [String]] {
        var found: [String: [String]] = [:]
        var seen: Set<UInt64> = []
        for point in Set(points).sorted() { search(point, depth: 0, &found, &seen) }
        return found
    }

    private static func search(
        _ folder: String, depth: Int, _ found: inout [String: [String]], _ seen: inout Set<UInt64>
    ) {
        // One hierarchy may be mounted twice.
        var info = stat()
        guard depth < 8, lstat(folder, &info) == 0, info.st_mode & S_IFMT == S_IFDIR,
            seen.insert(UInt64(info.st_ino) &* 1_000_003 &+ UInt64(info.st_dev)).inserted
        else { return }
        // Of a folder's links each is a folder in it, but two.
        guard info.st_nlink > 2 else { return }
        for name in namesInFolder(folder) {
            if let topology = topology(of: name) {
                found[topology, default: []].append("\(folder)/\(name)")
            } else if !name.contains(".") || name.hasSuffix(".slice") || name.hasSuffix(".scope")
                || name.hasSuffix(".service")
            {
                search("\(folder)/\(name)", depth: depth + 1, &found, &seen)
            }
        }
    }

    /// Takes groups away, with all below them. What is still in them is ended: nothing is in them but their topology's.
    ///
    /// - Returns: Those that stay, with the reason.
    package static func remove(_ paths: [String]) -> [(path: String, why: String)] {
        let deadline = monotonicTime() + .seconds(5)
        return paths.compactMap { path in
            while true {
                let code = removeOnce(path)
                if code == 0 || code == ENOENT { return nil }
                guard code == EBUSY, monotonicTime() < deadline else { return (path, errorText(code)) }
                usleep(5_000)
            }
        }
    }

    private static func removeOnce(_ path: String) -> Int32 {
        var isDirectory = stat()
        guard lstat(path, &isDirectory) == 0 else { return errno }
        var failure: Int32 = 0
        for name in namesInFolder(path) {
            let inner = "\(path)/\(name)"
            var info = stat()
            guard lstat(inner, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { continue }
            let code = removeOnce(inner)
            if code != 0, code != ENOENT { failure = code }
        }
        for pid in lines("\(path)/cgroup.procs").compactMap({ Int32($0) }) where pid > 0 { kill(pid, SIGKILL) }
        guard failure == 0 else { return failure }
        return rmdir(path) == 0 ? 0 : errno
    }
}
