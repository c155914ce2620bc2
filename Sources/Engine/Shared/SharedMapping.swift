import CLinux

/// A mapping of shared memory. It is unmapped at the end of the value's life. The caller still owns the descriptor.
public struct SharedMapping: ~Copyable, @unchecked Sendable {
    /// The address of the mapping.
    public let base: UnsafeMutableRawPointer
    /// The size, in octets.
    public let size: Int

    /// Maps `size` octets of a memfd.
    ///
    /// - Parameter offset: Where they begin: a multiple of the page size.
    /// - Parameter copies: True if what is written stays in this mapping alone: the memory itself may be sealed. A page that
    ///   was written to takes memory of its own.
    /// - Throws: `EngineError` if the memory is smaller, or with the errno of `fstat` or `mmap`.
    public init(
        mapping descriptor: Int32, from offset: Int = 0, size: Int, writable: Bool, copies: Bool = false
    ) throws(EngineError) {
        let actual = clinux_file_size(descriptor)
        guard actual >= 0 else { throw EngineError("look at shared memory", errno: Int32(-actual)) }
        // Reading beyond the end of the file would cause a SIGBUS.
        guard size > 0, offset >= 0, size <= Int(actual), offset <= Int(actual) - size else {
            throw EngineError("map shared memory", because: "it has \(actual) octets instead of \(offset &+ size)")
        }
        let memory = mmap(
            nil, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, copies ? MAP_PRIVATE : MAP_SHARED, descriptor,
            offset)
        guard let memory, Int(bitPattern: memory) != -1 else {
            throw EngineError("map shared memory", errno: clinux_errno())
        }
        base = memory
        self.size = size
    }

    deinit { munmap(base, size) }

    /// Gives up ownership. The mapping stays until the process ends.
    public consuming func leak() -> UnsafeMutableRawPointer {
        let base = self.base
        discard self
        return base
    }

    /// Gives the processor to other threads that want it. Otherwise a worker on the same processor would stand still
    /// until the scheduler's next tick, for milliseconds.
    public static func rest() { sched_yield() }

    /// Unmaps leaked memory in pieces, and rests between them.
    public static func unmap(_ base: UnsafeMutableRawPointer, size: Int) {
        let piece = 2 << 20
        for start in stride(from: 0, to: size, by: piece) {
            munmap(base + start, min(piece, size - start))
            rest()
        }
    }

    /// Makes the memory of counters: zeroed, with its header, sealed against resizing. The caller owns the descriptor.
    ///
    /// - Throws: `EngineError` with the errno of the kernel's refusal.
    public static func makeCounters(_ layout: CounterLayout) throws(EngineError) -> Int32 {
        try make("tapline-counters", size: layout.size) { descriptor throws(EngineError) in
            let memory = try SharedMapping(mapping: descriptor, size: layout.size, writable: true)
            layout.initialize(memory.base)
            _ = consume memory
        }
    }

    /// Writes the header of the counters' memory again, because engines can write to it. The counts stay.
    ///
    /// - Throws: `EngineError` if the memory cannot be mapped.
    public static func renewCounters(_ descriptor: Int32, _ layout: CounterLayout) throws(EngineError) {
        let memory = try SharedMapping(mapping: descriptor, size: CounterLayout.pageSize, writable: true)
        layout.initialize(memory.base)
        _ = consume memory
    }

    /// Makes the memory of an empty neighbour table. The caller owns the descriptor.
    ///
    /// - Throws: `EngineError` with the errno of the kernel's refusal.
    public static func makeNeighbours() throws(EngineError) -> Int32 {
        try make("tapline-neighbours", size: NeighbourTable.memorySize) { descriptor throws(EngineError) in
            let memory = try SharedMapping(mapping: descriptor, size: NeighbourTable.memorySize, writable: true)
            NeighbourTable(memory: memory.base).initialize()
            _ = consume memory
        }
    }

    /// Makes the memory of so many capture rings, which takes as much of the machine's memory as is written to. The caller
    /// owns the descriptor.
    ///
    /// - Throws: `EngineError` with the errno of the kernel's refusal.
    public static func makeCaptureRings(_ count: Int) throws(EngineError) -> Int32 {
        try make("tapline-capture", size: count * CaptureRing.size) { _ throws(EngineError) in }
    }

    /// Makes the memory of the counters of impaired links, zeroed. The caller owns the descriptor.
    ///
    /// - Throws: `EngineError` with the errno of the kernel's refusal.
    public static func makeImpairmentCounters(blocks: Int) throws(EngineError) -> Int32 {
        try make("tapline-impairments", size: ImpairmentCounters.size(blocks: blocks)) { _ throws(EngineError) in }
    }

    /// Maps fresh memory that nobody shares, which takes as much of the machine's memory as is written to. It stays until
    /// the process ends.
    ///
    /// - Throws: `EngineError` with the errno of `mmap`.
    static func reserve(_ size: Int) throws(EngineError) -> UnsafeMutableRawPointer {
        let memory = mmap(
            nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, Int(bitPattern: memory) != -1 else { throw EngineError("map memory", errno: clinux_errno()) }
        return memory
    }

    /// Makes the memory of a compiled table, sealed against writes. The caller owns the descriptor.
    ///
    /// The bytes are written with `write` and not through a mapping. A memory with a writable mapping cannot be sealed,
    /// and a child that is being started has its parent's mappings for a moment.
    ///
    /// - Throws: `EngineError` with the errno of the kernel's refusal.
    public static func makeTable(_ bytes: UnsafeRawBufferPointer) throws(EngineError) -> Int32 {
        try make("tapline-table", size: bytes.count, readOnly: true) { descriptor throws(EngineError) in
            var done = 0
            while done < bytes.count {
                let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, done)
                if count < 0, clinux_errno() == EINTR { continue }
                guard count > 0 else { throw EngineError("write the table", errno: clinux_errno()) }
                done += count
            }
        }
    }

    private static func make(
        _ name: String, size: Int, readOnly: Bool = false, fill: (Int32) throws(EngineError) -> Void
    ) throws(EngineError) -> Int32 {
        let descriptor = clinux_memfd(name, size)
        guard descriptor >= 0 else { throw EngineError("make shared memory", errno: -descriptor) }
        do throws(EngineError) {
            try fill(descriptor)
        } catch {
            close(descriptor)
            throw error
        }
        let sealed = clinux_memfd_seal(descriptor, readOnly ? 1 : 0)
        guard sealed >= 0 else {
            close(descriptor)
            throw EngineError("seal shared memory", errno: -sealed)
        }
        return descriptor
    }
}
