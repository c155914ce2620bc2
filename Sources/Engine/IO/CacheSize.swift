import CLinux

/// How much a processor keeps close to itself.
enum CacheSize {
    /// What is believed where the machine does not tell.
    static let usual = 512 << 10

    /// Octets of superframes in one burst: what fits the level-2 cache, and no more than about eight of them. Beside the
    /// buffer that they are read into, the kernel's pages that they come from and go to want room there, and a burst of more
    /// gained nothing where the cache was larger.
    static func burst(sys: String = "/sys") -> Int { min(levelTwo(sys: sys), 512 << 10) }

    /// What is not believed: a machine that says less or more tells of something else.
    private static let credible = 64 << 10...64 << 20
    /// The processors that are asked.
    private static let mostProcessors = 64

    /// Octets of the smallest level-2 cache of the machine's processors, which may differ.
    ///
    /// - Parameter sys: Where the kernel tells of them (Documentation/ABI/testing/sysfs-devices-system-cpu).
    static func levelTwo(sys: String = "/sys") -> Int {
        var smallest: Int?
        for processor in 0..<mostProcessors {
            for index in 0..<8 {
                let folder = "\(sys)/devices/system/cpu/cpu\(processor)/cache/index\(index)"
                guard let level = text("\(folder)/level") else { break }
                guard level == "2", let size = text("\(folder)/size").flatMap(octets), credible.contains(size) else {
                    continue
                }
                smallest = min(smallest ?? size, size)
            }
        }
        if let smallest { return smallest }
        let told = sysconf(Int32(_SC_LEVEL2_CACHE_SIZE))
        return credible.contains(told) ? told : usual
    }

    /// `512K`, `2M` or plain octets.
    private static func octets(_ text: String) -> Int? {
        switch text.last {
        case "K": Int(text.dropLast()).map { $0 << 10 }
        case "M": Int(text.dropLast()).map { $0 << 20 }
        default: Int(text)
        }
    }

    /// The first line of a small file; nil where there is none.
    private static func text(_ path: String) -> String? {
        let descriptor = clinux_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 32, alignment: 1) { buffer in
            let count = read(descriptor, buffer.baseAddress!, 32)
            guard count > 0 else { return nil }
            return String(decoding: buffer[..<count].prefix { $0 > 32 }, as: UTF8.self)
        }
    }
}
