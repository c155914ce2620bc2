import CLinux

/// A mapping of shared memory, unmapped when its owner goes. The descriptor that it was mapped from stays the caller's.
public struct SharedMapping: ~Copyable, @unchecked Sendable {
    /// Where it is mapped.
    public let base: UnsafeMutableRawPointer
    /// Its octets.
    public let size: Int

    /// Maps `size` octets of a memfd.
    public init(mapping descriptor: Int32, size: Int, writable: Bool) throws(EngineError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw EngineError("look at shared memory", errno: clinux_errno()) }
        // Reading beyond the end of the file would be a SIGBUS.
        guard size > 0, Int(status.st_size) >= size else {
            throw EngineError("map shared memory", because: "it has \(status.st_size) octets instead of \(size)")
        }
        let memory = mmap(nil, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, 0)
        guard let memory, Int(bitPattern: memory) != -1 else {
            throw EngineError("map shared memory", errno: clinux_errno())
        }
        base = memory
        self.size = size
    }

    deinit { munmap(base, size) }

    /// Gives up ownership: the mapping stays until the process ends.
    public consuming func leak() -> UnsafeMutableRawPointer {
        let base = self.base
        discard self
        return base
    }

    /// Makes counters' memory: zeroed, with its header, sealed against resizing. The descriptor is the caller's.
    public static func makeCounters(_ layout: CounterLayout) throws(EngineError) -> Int32 {
        try make("tapline-counters", size: layout.size) { layout.initialize($0) }
    }

    /// Makes an empty neighbour table's memory. The descriptor is the caller's.
    public static func makeNeighbours() throws(EngineError) -> Int32 {
        try make("tapline-neighbours", size: NeighbourTable.memorySize) { NeighbourTable(memory: $0).initialize() }
    }

    /// Makes a compiled table's memory, sealed against writes. The descriptor is the caller's.
    public static func makeTable(_ bytes: UnsafeRawBufferPointer) throws(EngineError) -> Int32 {
        try make("tapline-table", size: bytes.count, readOnly: true) {
            if let source = bytes.baseAddress { $0.copyMemory(from: source, byteCount: bytes.count) }
        }
    }

    private static func make(
        _ name: String, size: Int, readOnly: Bool = false, fill: (UnsafeMutableRawPointer) -> Void
    ) throws(EngineError) -> Int32 {
        let descriptor = clinux_memfd(name, size)
        guard descriptor >= 0 else { throw EngineError("make shared memory", errno: -descriptor) }
        do throws(EngineError) {
            let memory = try SharedMapping(mapping: descriptor, size: size, writable: true)
            fill(memory.base)
        } catch {
            close(descriptor)
            throw error
        }
        // Unmapped by now: a memfd that is mapped writable cannot be sealed against writes.
        let sealed = clinux_memfd_seal(descriptor, readOnly ? 1 : 0)
        guard sealed >= 0 else {
            close(descriptor)
            throw EngineError("seal shared memory", errno: -sealed)
        }
        return descriptor
    }
}
