import Glibc
import Reporting

/// Where a capture goes.
public enum CaptureTarget: Sendable {
    /// A file, which is made or emptied.
    case file(CapturePath)
    /// Files that follow one another; their names come from the path (`FileRing.path(_:number:)`).
    case ring(CapturePath, FileRing)
    /// An open file, pipe or socket, which stays the caller's. SIGPIPE must be ignored if it is a pipe.
    case descriptor(Int32, name: String)
}

/// The path of a capture, and how its file is made.
public struct CapturePath: Sendable, Hashable {
    /// The path.
    public var path: String
    /// Who may read a new file: a capture may hold secrets.
    public var mode: UInt32
    /// False in a folder where others can put links.
    public var followsLinks: Bool
    /// The user and group that a file of the process's own user is given to; nil: it stays the process's.
    public var owner: (user: UInt32, group: UInt32)? {
        get { user.map { ($0, group) } }
        set { (user, group) = (newValue?.user, newValue?.group ?? 0) }
    }
    private var user: UInt32?
    private var group: UInt32 = 0

    /// Memberwise.
    public init(_ path: String, mode: UInt32 = 0o600, followsLinks: Bool = true) {
        self.path = path
        self.mode = mode
        self.followsLinks = followsLinks
    }
}

/// An open file, pipe or socket that whole blocks are written to. After a failure it still ends with a whole block, if it is a
/// file.
struct CaptureOutput: ~Copyable {
    /// What messages call it.
    let name: String
    private let descriptor: Int32
    private let isOwned: Bool
    private let isFile: Bool
    /// True if writing may wait for a reader: a pipe, a socket or a terminal.
    private let hasReader: Bool
    /// The octets written so far.
    private(set) var length: UInt64 = 0

    /// Why octets were not written.
    struct Failure: Error {
        var code: Int32
    }

    /// - Throws: The sentence with the path and the kernel's refusal.
    init(_ path: CapturePath) throws(ApplianceError) {
        name = path.path
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (path.followsLinks ? 0 : O_NOFOLLOW)
        descriptor = open(path.path, flags, path.mode)
        guard descriptor >= 0 else { throw .system("cannot write \(path.path)", errno: errno) }
        isOwned = true
        (isFile, hasReader) = Self.kind(descriptor)
        var info = stat()
        if let owner = path.owner, isFile, fstat(descriptor, &info) == 0, info.st_uid == geteuid(), info.st_nlink == 1 {
            // Where that is refused, the file can still be read by who wrote it.
            _ = fchown(descriptor, owner.user, owner.group)
        }
    }

    /// An output that stays the caller's.
    init(_ descriptor: Int32, name: String) {
        self.name = name
        self.descriptor = descriptor
        isOwned = false
        (isFile, hasReader) = Self.kind(descriptor)
    }

    deinit { if isOwned { close(descriptor) } }

    private static func kind(_ descriptor: Int32) -> (isFile: Bool, hasReader: Bool) {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { return (false, true) }
        switch info.st_mode & S_IFMT {
        case S_IFREG: return (true, false)
        case S_IFCHR: return (false, isatty(descriptor) == 1)
        default: return (false, true)
        }
    }

    /// Writes whole blocks.
    ///
    /// A reader of a pipe that does not read keeps the caller waiting. Ten times a second it is asked whether it still wants to.
    ///
    /// - Throws: The kernel's refusal; ECANCELED if `isCancelled` says so. A file then ends with the last block that fits.
    mutating func write(_ blocks: [UInt8], isCancelled: () -> Bool) throws(Failure) {
        var offset = 0
        while offset < blocks.count {
            // A pipe that is ready takes so much without waiting (PIPE_BUF).
            let most = hasReader ? min(blocks.count - offset, 4096) : blocks.count - offset
            if hasReader {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                let ready = poll(&waiting, 1, 100)
                if isCancelled() { throw Failure(code: ECANCELED) }
                if ready <= 0 { continue }
            }
            let wrote = blocks.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + offset, most) }
            if wrote < 0 {
                let code = errno
                if code == EINTR || code == EAGAIN { continue }
                if isFile { cutBack(offset - PcapngBlocks.wholeBlocks(blocks, first: offset)) }
                throw Failure(code: code)
            }
            offset += wrote
            length += UInt64(wrote)
        }
    }

    /// Takes the last octets of the file away.
    private mutating func cutBack(_ octets: Int) {
        guard octets > 0 else { return }
        let end = lseek(descriptor, 0, SEEK_CUR)
        guard end >= octets, ftruncate(descriptor, end - octets) == 0 else { return }
        lseek(descriptor, end - octets, SEEK_SET)
        length -= UInt64(octets)
    }
}
