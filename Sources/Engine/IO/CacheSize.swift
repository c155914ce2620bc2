import CLinux

/// The cache sizes of this machine's processors.
enum CacheSize {
    /// The size that is assumed if the machine does not tell, in octets.
    static let usual = 512 << 10

    /// The octets of superframes in one burst: as many as fit into the level-2 cache, but no more than about eight
    /// superframes. The read buffer and the kernel's pages need room in the cache, too. With a larger cache, a longer
    /// burst gained nothing.
    static func burst(sys: String = "/sys") -> Int { min(levelTwo(sys: sys), 512 << 10) }

    /// Sizes outside this range are ignored, in octets.
    private static let credible = 64 << 10...64 << 20
    /// The largest number of processors that are asked.
    private static let mostProcessors = 64

    /// The size of the smallest level-2 cache of the machine's processors, in octets.
    ///
    /// - Parameter sys: The mount point of sysfs (Documentation/ABI/testing/sysfs-devices-system-cpu).
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
        let size = sysconf(Int32(_SC_LEVEL2_CACHE_SIZE))
        return credible.contains(size) ? size : usual
    }

    /// Reads `512K`, `2M` or a number of octets.
    private static func octets(_ text: String) -> Int? {
        switch text.last {
        case "K": Int(text.dropLast()).map { $0 << 10 }
        case "M": Int(text.dropLast()).map { $0 << 20 }
        default: Int(text)
        }
    }

    /// The first line of a small file; nil if there is none.
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
