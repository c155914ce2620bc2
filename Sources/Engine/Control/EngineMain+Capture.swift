import CLinux

/// Observers that come while the workers forward.
extension EngineMain {
    /// The memory that is mapped for capturing.
    struct CaptureMemory {
        var observers: UnsafeMutableRawPointer
        var observersSize: Int
        var rings: UnsafeMutableRawPointer
        var ringsSize: Int
    }

    /// Takes the observers of a message, and answers when every worker captures for them.
    ///
    /// - Throws: `EngineError` if the answer cannot be sent.
    mutating func takeObservers(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        defer { for descriptor in descriptors { close(descriptor) } }
        let number = message.fields[0]
        do throws(EngineError) {
            try observe(message, descriptors)
        } catch {
            try socket.send(ControlMessage(.observed, [number, 1], text: error.description))
            return
        }
        try socket.send(ControlMessage(.observed, [number]))
    }

    private mutating func observe(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        func size(_ field: Int) -> Int { Int(truncatingIfNeeded: message.fields[field]) }
        let before = captureMemory
        guard size(1) > 0 else {
            obey { $0.capture = nil }
            captureMemory = nil
            if let before {
                SharedMapping.unmap(before.observers, size: before.observersSize)
                SharedMapping.unmap(before.rings, size: before.ringsSize)
            }
            return
        }
        guard descriptors.count == 2, size(2) == crew.count * CaptureRing.size else {
            throw EngineError("take the observers", because: "they came with other rings")
        }
        try Self.checkSealed(descriptors[0])
        let memory = try SharedMapping(mapping: descriptors[0], size: size(1), writable: false)
        let observers = try CaptureObservers(validating: UnsafeRawBufferPointer(start: memory.base, count: memory.size))
        var fresh = CaptureMemory(
            observers: memory.base, observersSize: memory.size, rings: memory.base, ringsSize: size(2))
        if let before {
            // One memory of rings serves as long as anything is captured.
            fresh.rings = before.rings
        } else {
            fresh.rings = try SharedMapping(
                mapping: descriptors[1], from: size(3), size: fresh.ringsSize, writable: true
            ).leak()
        }
        _ = memory.leak()
        obey { $0.capture = CaptureOrder(observers: observers, rings: fresh.rings) }
        captureMemory = fresh
        if let before { SharedMapping.unmap(before.observers, size: before.observersSize) }
    }
}
