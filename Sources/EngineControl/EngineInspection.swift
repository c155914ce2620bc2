import CLinux
import Engine
import EventLoop
import Glibc
import LinuxNetwork

/// Looks at an engine from outside, by what the kernel says of it in /proc: an engine's own words do not count.
package struct EngineInspection {
    /// The confinement that an engine must have here, as far as the kernel grants it to any process.
    package struct Grant: Sendable, Equatable {
        /// Parts of `clinux_apart`.
        package var parts: UInt32

        /// Memberwise.
        package init(parts: UInt32) {
            self.parts = parts
        }

        package func has(_ part: clinux_apart) -> Bool { parts & part.rawValue != 0 }

        /// Each part that is not granted, for a person.
        package var missing: [String] { Self.names.filter { !has($0.part) }.map(\.name) }

        /// All of it.
        package static let whole = Grant(parts: names.reduce(0) { $0 | $1.part.rawValue })

        private static let names: [(part: clinux_apart, name: String)] = [
            (CLINUX_APART_PROCESSES, "a PID namespace"), (CLINUX_APART_MOUNTS, "an empty root"),
            (CLINUX_APART_IPC, "an IPC namespace"), (CLINUX_APART_NAMES, "a UTS namespace"),
            (CLINUX_APART_NETWORK, "a network namespace"), (CLINUX_APART_CONTROL_GROUPS, "a cgroup namespace"),
            (CLINUX_APART_USER, "a user of its own"), (CLINUX_APART_GROUPS, "no further groups"),
            (CLINUX_APART_BOUNDING, "an empty bounding set"),
        ]

        /// The confinement that the kernel grants to a child that confines itself like an engine; empty if it cannot be
        /// tried.
        package static func tried() -> Grant {
            let parts = clinux_try_isolation(EngineIdentity.user(of: getpid()), 0)
            return Grant(parts: parts < 0 ? 0 : UInt32(parts))
        }

        /// As `tried`, once for this process.
        static let here = tried()
    }

    /// The engine's process.
    package let pid: Int32
    /// The user that it was told to become; 0: none.
    package let user: UInt32
    let grant: Grant
    /// Where processes are looked at.
    package var proc = "/proc"

    /// The confinements that it lacks, each as a few words for a person; empty if it lacks none.
    package func missing() -> [String] {
        var missing: [String] = []
        let tasks = namesInFolder("\(proc)/\(pid)/task")
        if tasks.isEmpty { missing.append("its threads cannot be seen") }
        for task in tasks {
            guard let status = fields(of: "\(proc)/\(pid)/task/\(task)/status") else {
                missing.append("its thread \(task) cannot be looked at")
                continue
            }
            missing += lacks(of: status)
        }
        missing += limits() + namespaces()
        if grant.has(CLINUX_APART_MOUNTS), let mounts = mounts(), mounts != [["/", "tmpfs"]] {
            missing.append("it sees files")
        }
        // Several threads lack the same.
        return missing.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private func lacks(of status: [String: String]) -> [String] {
        var missing: [String] = []
        if status["Seccomp"] != "2" { missing.append("it has no system call filter") }
        if status["NoNewPrivs"] != "1" { missing.append("it may gain privileges by a program") }
        let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"] + (grant.has(CLINUX_APART_BOUNDING) ? ["CapBnd"] : [])
        for set in sets where UInt64(status[set] ?? "", radix: 16) != 0 {
            missing.append("it has capabilities (\(set))")
        }
        if grant.has(CLINUX_APART_USER) {
            for kind in ["Uid", "Gid"] {
                let numbers = (status[kind] ?? "").split(whereSeparator: \.isWhitespace)
                if numbers.count != 4 || !numbers.allSatisfy({ $0 == "\(user)" }) {
                    missing.append("it runs as another user (\(kind))")
                }
            }
        }
        if grant.has(CLINUX_APART_GROUPS), status["Groups"]?.isEmpty != true { missing.append("it has further groups") }
        if grant.has(CLINUX_APART_PROCESSES) {
            // The number of its process in each PID namespace, from this process's on.
            let numbers = (status["NStgid"] ?? "").split(whereSeparator: \.isWhitespace)
            if numbers.count < 2 || numbers.last != "1" { missing.append("its PID namespace has other processes") }
        }
        return missing
    }

    /// The limits that its kind of process never has by itself.
    private func limits() -> [String] {
        guard let bytes = readFile("\(proc)/\(pid)/limits", limit: 8192) else { return ["its limits cannot be seen"] }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        func soft(_ name: String) -> Substring? {
            lines.first { $0.hasPrefix(name) }?.dropFirst(name.count).split(separator: " ").first
        }
        var missing: [String] = []
        if soft("Max file size") != "0" { missing.append("it may write files") }
        if soft("Max address space") == "unlimited" { missing.append("it may use all memory") }
        if soft("Max core file size") != "0" { missing.append("it may leave a core dump") }
        return missing
    }

    private func namespaces() -> [String] {
        let kinds: [(clinux_apart, String)] = [
            (CLINUX_APART_IPC, "ipc"), (CLINUX_APART_NAMES, "uts"), (CLINUX_APART_NETWORK, "net"),
            (CLINUX_APART_CONTROL_GROUPS, "cgroup"), (CLINUX_APART_MOUNTS, "mnt"), (CLINUX_APART_PROCESSES, "pid"),
        ]
        return kinds.compactMap { part, kind in
            // Without CAP_SYS_PTRACE these cannot be read, and then nothing is known.
            guard grant.has(part), let own = link("\(proc)/self/ns/\(kind)"),
                let other = link("\(proc)/\(pid)/ns/\(kind)"), own == other
            else { return nil }
            return "it is in this process's \(kind) namespace"
        }
    }

    /// Its mounts, as place and kind of file system; nil if they cannot be seen.
    private func mounts() -> [[Substring]]? {
        guard let bytes = readFile("\(proc)/\(pid)/mountinfo") else { return nil }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
            let fields = line.split(separator: " ")
            let kind = fields.firstIndex(of: "-").flatMap { fields.indices.contains($0 + 1) ? fields[$0 + 1] : nil }
            return [fields.count > 4 ? fields[4] : "", kind ?? ""]
        }
    }

    private func fields(of path: String) -> [String: String]? {
        guard let bytes = readFile(path, limit: 16_384) else { return nil }
        var fields: [String: String] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop(while: \.isWhitespace)
            fields[String(line[..<colon])] = String(value.reversed().drop(while: \.isWhitespace).reversed())
        }
        return fields
    }

    private func link(_ path: String) -> String? {
        var target = [UInt8](repeating: 0, count: 64)
        let count = readlink(path, &target, target.count)
        return count > 0 ? String(decoding: target.prefix(count), as: UTF8.self) : nil
    }
}
