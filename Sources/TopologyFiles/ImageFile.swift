import Glibc

/// An archive of a root directory, as far as its first octets tell.
enum ImageFile {
    /// Why a file cannot be unpacked as a root directory; nil if it may be.
    static func fault(of path: String) -> (what: String, hint: String)? {
        var info = stat()
        guard stat(path, &info) == 0 else {
            return ("is not there", "make it: podman export CONTAINER > image.tar, for example")
        }
        guard info.st_mode & S_IFMT == S_IFREG else {
            return ("is not a file", info.st_mode & S_IFMT == S_IFDIR ? "write { root: \(path) }" : "name an archive")
        }
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return ("cannot be read: \(String(cString: strerror(errno)))", "allow it to be read") }
        defer { close(file) }
        var octets = [UInt8](repeating: 0, count: 2048)
        let count = octets.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
        let start = octets.prefix(max(0, count))
        func holds(_ magic: [UInt8], at place: Int = 0) -> Bool { start.dropFirst(place).starts(with: magic) }
        if archives.contains(where: { holds($0.magic, at: $0.place) }) { return nil }
        if holds(Array("hsqs".utf8)) {
            return (
                "is a file system (squashfs), and no tar archive",
                "unpack it with unsquashfs, and write { root: FOLDER }"
            )
        }
        if holds([0x53, 0xEF], at: 1080) {
            return ("is a file system (ext4), and no tar archive", "mount it read-only, and write { root: FOLDER }")
        }
        if holds(Array("QFI\u{FB}".unicodeScalars.map { UInt8($0.value) })) {
            return ("is a disk of a virtual machine, and no tar archive", "give a tar archive of its root directory")
        }
        return ("is no tar archive", "make one: tar -C FOLDER -cf image.tar .")
    }

    /// What an archive begins with: ustar (POSIX.1-1988), and what compresses it.
    private static let archives: [(magic: [UInt8], place: Int)] = [
        (Array("ustar".utf8), 257),
        ([0x1F, 0x8B], 0),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], 0),
        ([0x28, 0xB5, 0x2F, 0xFD], 0),
        (Array("BZh".utf8), 0),
    ]

    /// What tells it from another file that takes its place.
    static func identity(of path: String) -> String {
        var info = stat()
        guard stat(path, &info) == 0 else { return "" }
        return "\(info.st_dev) \(info.st_ino) \(info.st_size) \(info.st_mtim.tv_sec).\(info.st_mtim.tv_nsec)"
    }
}
