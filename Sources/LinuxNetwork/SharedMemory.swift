import CLinux

/// Memory that processes share: a mapped memfd.
public final class SharedMemory: @unchecked Sendable {
    /// The memfd, to be handed to others; valid as long as this object lives.
    public let descriptor: Int32
    /// The mapping, valid as long as this object lives; read-only where it was sealed when mapped.
    public let bytes: UnsafeMutableRawBufferPointer

    /// Makes `size` octets of zeros. Every process with the descriptor can write them. The size is sealed.
    ///
    /// - Parameter name: Shown in /proc/PID/maps.
    /// - Throws: The kernel's refusal; EMFILE if the process may open no more files.
    public convenience init(name: String, size: Int) throws(SystemError) {
        let descriptor = OwnedDescriptor(
            owning: try SystemError.check(clinux_memfd(name, size), "make shared memory", name))
        try SystemError.check(clinux_memfd_seal(descriptor.number, 0), "seal the shared memory", name)
        try self.init(owning: descriptor, writable: true)
    }

    /// Makes sealed memory with these contents. No process can change it or map it for writing.
    ///
    /// - Throws: The kernel's refusal; EMFILE if the process may open no more files.
    public convenience init(name: String, sealed contents: UnsafeRawBufferPointer) throws(SystemError) {
        let descriptor = OwnedDescriptor(
            owning: try SystemError.check(clinux_memfd(name, contents.count), "make shared memory", name))
        var written = 0
        while written < contents.count {
            let count = pwrite(
                descriptor.number, contents.baseAddress! + written, contents.count - written, off_t(written))
            if count < 0 {
                let error = currentErrno()
                if error == EINTR { continue }
                throw SystemError("write the shared memory", name, errno: error)
            }
            written += count
        }
        try SystemError.check(clinux_memfd_seal(descriptor.number, 1), "seal the shared memory", name)
        try self.init(owning: descriptor, writable: false)
    }

    /// Maps memory that was made elsewhere.
    ///
    /// - Throws: The kernel's refusal to map it.
    public init(owning descriptor: consuming OwnedDescriptor, writable: Bool) throws(SystemError) {
        var status = stat()
        try SystemError.checkErrno(fstat(descriptor.number, &status), "inspect the shared memory", "")
        let size = Int(status.st_size)
        let mapped = mmap(
            nil, max(size, 1), writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor.number, 0)
        guard let mapped, mapped != UnsafeMutableRawPointer(bitPattern: -1) else {
            let error = currentErrno()
            throw SystemError("map the shared memory", "", errno: error)
        }
        bytes = UnsafeMutableRawBufferPointer(start: mapped, count: size)
        self.descriptor = descriptor.release()
    }

    deinit {
        munmap(bytes.baseAddress, max(bytes.count, 1))
        close(descriptor)
    }

    /// Whether the contents can never change again (F_SEAL_WRITE and F_SEAL_SHRINK).
    public var isSealed: Bool {
        let needed = F_SEAL_WRITE | F_SEAL_SHRINK
        let seals = clinux_memfd_seals(descriptor)
        return seals >= 0 && seals & needed == needed
    }
}
