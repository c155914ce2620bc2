import Glibc

/// The order in which the kernel ends a topology's processes when memory runs out:
///
/// 1. applications,
/// 2. an engine that reads nothing,
/// 3. engines,
/// 4. the control process, which every other part of the topology needs.
package enum MemoryRank: Int32, CaseIterable {
    case control
    case engine
    case spareEngine
    case application

    /// The value of one rank, in thousandths of the machine's memory. The kernel adds it to the memory that a process
    /// uses.
    private static let step: Int32 = 150
    /// The most that the kernel takes (proc(5), oom_score_adj).
    private static let most: Int32 = 1000

    /// The score of a process of this rank. The control process keeps the score that it was started with, because
    /// lowering it needs a privilege. If there is little room above it, ranks are closer together.
    package var score: Int32 { Self.score(rawValue, above: Self.own) }

    package static func score(_ rank: Int32, above own: Int32) -> Int32 {
        let last = application.rawValue
        return own + rank * max(0, min(step, (most - own) / last))
    }

    /// This process's own score, as it was started.
    private static let own: Int32 = {
        let text = String(decoding: readFile("/proc/self/oom_score_adj", limit: 16) ?? [], as: UTF8.self)
        return Int32(text.prefix { !$0.isWhitespace }) ?? 0
    }()

    /// Gives a process that runs another rank. If the kernel does not grant it, the rank stays as it is.
    package func assign(to pid: Int32) {
        let descriptor = open("/proc/\(pid)/oom_score_adj", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        writeAll(descriptor, Array("\(score)".utf8))
    }
}
