import CLinux

/// A mapping of shared memory, unmapped when its owner goes. The descriptor that it was mapped from stays the caller's.
public struct SharedMapping: ~Copyable, @unchecked Sendable {
    /// Where it is mapped.
    public let base: UnsafeMutableRawPointer
    /// Its octets.
    public let size: Int

    /// Maps `size` octets of a memfd.
    public init(mapping descriptor: Int32, size: Int, writable: Bool) throws(EngineError) {
        let actual = clinux_file_size(descriptor)
        guard actual >= 0 else { throw EngineError("look at shared memory", errno: Int32(-actual)) }
        // Reading beyond the end of the file would be a SIGBUS.
        guard size > 0, Int(actual) >= size else {
            throw EngineError("map shared memory", because: "it has \(actual) octets instead of \(size)")
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

    /// Lets others have the processor, where there are any that want it: a worker that shares it with a thread at long work
    /// would else stand still until the scheduler's next tick, for milliseconds.
    public static func rest() { sched_yield() }

    /// Unmaps memory that was leaked, in pieces between which it rests.
    public static func unmap(_ base: UnsafeMutableRawPointer, size: Int) {
        let piece = 2 << 20
        for start in stride(from: 0, to: size, by: piece) {
            munmap(base + start, min(piece, size - start))
            rest()
        }
    }

    /// Makes counters' memory: zeroed, with its header, sealed against resizing. The descriptor is the caller's.
    public static func makeCounters(_ layout: CounterLayout) throws(EngineError) -> Int32 {
        try make("tapline-counters", size: layout.size) { descriptor throws(EngineError) in
            let memory = try SharedMapping(mapping: descriptor, size: layout.size, writable: true)
            layout.initialize(memory.base)
            _ = consume memory
        }
    }

    /// Writes the header of counters' memory anew, which engines can write to, and leaves what they have counted.
    public static func renewCounters(_ descriptor: Int32, _ layout: CounterLayout) throws(EngineError) {
        let memory = try SharedMapping(mapping: descriptor, size: CounterLayout.pageSize, writable: true)
        layout.initialize(memory.base)
        _ = consume memory
    }

    /// Makes an empty neighbour table's memory. The descriptor is the caller's.
    public static func makeNeighbours() throws(EngineError) -> Int32 {
        try make("tapline-neighbours", size: NeighbourTable.memorySize) { descriptor throws(EngineError) in
            let memory = try SharedMapping(mapping: descriptor, size: NeighbourTable.memorySize, writable: true)
            NeighbourTable(memory: memory.base).initialize()
            _ = consume memory
        }
    }

    /// Makes a compiled table's memory, sealed against writes. The descriptor is the caller's.
    ///
    /// It is written to and never mapped here: a memory that some process has mapped for writing cannot be sealed, and a
    /// child that is being started has mapped for a moment whatever its parent has.
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
