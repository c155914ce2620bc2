import EventLoop
import Glibc
import LinuxNetwork
import Wire

/// The processes of a node, as the host counts them.
package enum NodeProcesses {
    /// Every process in the PID namespace of a node's init, but the init itself.
    package static func all(of node: Int32) -> [Int32] {
        guard let wanted = namespace(of: node) else { return [] }
        return namesInFolder("/proc").compactMap { Int32($0) }
            .filter { $0 != node && namespace(of: $0) == wanted }
    }

    /// How many processes a node has, its init among them.
    package static func count(in node: Int32) -> Int {
        // The node's own /proc has a folder for each, and for no other process of the machine.
        namesInFolder("/proc/\(node)/root/proc").count { $0.utf8.allSatisfy { (48...57).contains($0) } }
    }

    /// The process's name, as `ps` shows it.
    package static func name(of pid: Int32) -> String {
        let bytes = readFile("/proc/\(pid)/comm", limit: 64) ?? []
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    }

    private static func namespace(of pid: Int32) -> String? {
        var target = [UInt8](repeating: 0, count: 64)
        let count = readlink("/proc/\(pid)/ns/pid", &target, target.count)
        return count > 0 ? String(decoding: target.prefix(count), as: UTF8.self) : nil
    }
}

/// A mark that a command and all that it ever starts carry, so that none of them can hide: not in another session, not
/// behind a parent that ended, not with an empty environment.
///
/// It is the limit of file locks (RLIMIT_LOCKS). Every child inherits it and every program keeps it; Linux has ignored
/// it since version 2.4. A control group would work as well, but not in every container and not without root. A PID
/// namespace for each command would hide the node's own processes from it.
package struct ProcessMark: Sendable, Hashable {
    private let number: UInt64

    /// One that no other command has.
    package init() { number = UInt64.random(in: 1 << 40..<1 << 60) }

    private init(_ number: UInt64) { self.number = number }

    /// To be given to the command.
    package var limits: [Int32: UInt64] { [ResourceLimit.locks: number] }

    /// True if a process carries one of the marks and has not ended.
    package static func isCarried(_ marks: Set<ProcessMark>, by pid: Int32) -> Bool {
        guard processStartTime(pid) != nil else { return false }
        return isCarried(marks, below: "/proc/\(pid)")
    }

    /// The same of the process that a folder of some /proc is about.
    package static func isCarried(_ marks: Set<ProcessMark>, below folder: String) -> Bool {
        guard !marks.isEmpty, let bytes = readFile("\(folder)/limits", limit: 8192) else { return false }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("Max file locks") }) else { return false }
        return line.split(separator: " ").contains { word in
            UInt64(word).map { marks.contains(ProcessMark($0)) } ?? false
        }
    }

    /// Ends every process of a node that carries one of the marks.
    ///
    /// - Returns: False if new ones came faster than they could be ended.
    package static func end(_ marks: Set<ProcessMark>, in node: Int32) -> Bool {
        guard !marks.isEmpty else { return true }
        let deadline = monotonicTime() + .seconds(2)
        while true {
            let found = NodeProcesses.all(of: node).filter { isCarried(marks, by: $0) }
            if found.isEmpty { return true }
            // Stopped processes start no others; then all of them end.
            for pid in found { kill(pid, SIGSTOP) }
            for pid in found { kill(pid, SIGKILL) }
            if monotonicTime() > deadline { return false }
            usleep(2000)
        }
    }
}

/// True if a process has been killed and has not ended yet: it is a zombie, or about to be one.
package func isDying(_ pid: Int32) -> Bool {
    guard let bytes = readFile("/proc/\(pid)/status", limit: 8192) else { return true }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    func hasKill(_ field: String) -> Bool {
        guard let line = lines.first(where: { $0.hasPrefix(field) }),
            let signals = UInt64(line.dropFirst(field.count).drop { $0 == "\t" || $0 == " " }, radix: 16)
        else { return false }
        return signals & 1 << UInt64(SIGKILL - 1) != 0
    }
    let state = lines.first { $0.hasPrefix("State:") }?.dropFirst(6).first { $0 != "\t" && $0 != " " }
    return state == "Z" || state == "X" || hasKill("SigPnd:") || hasKill("ShdPnd:")
}
