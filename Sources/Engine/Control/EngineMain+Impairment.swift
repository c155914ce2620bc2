import CLinux

/// Impaired links that come while the workers forward.
extension EngineMain {
    /// The memory that is mapped for impaired links.
    struct ImpairmentMemory {
        /// The links; nil: there are none.
        var links: UnsafeMutableRawPointer?
        var linksSize = 0
        /// Counters, which stay mapped.
        var counters: UnsafeMutableRawPointer
        /// The links of each worker; nil: there are none.
        var workerLinks: UnsafeMutablePointer<WorkerLinks>?
        /// What each worker has, for good: frames may wait when there are no links any more.
        var traffic: UnsafeMutablePointer<ImpairedTraffic>
    }

    /// Takes the links of a message, and answers when every worker's frames cross them.
    ///
    /// - Throws: `EngineError` if the answer cannot be sent.
    mutating func takeImpairments(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        defer { for descriptor in descriptors { close(descriptor) } }
        let number = message.fields[0]
        do throws(EngineError) {
            try impair(message, descriptors)
        } catch {
            try socket.send(ControlMessage(.impaired, [number, 1], text: error.description))
            return
        }
        try socket.send(ControlMessage(.impaired, [number]))
    }

    private mutating func impair(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        func number(_ field: Int) -> Int { Int(truncatingIfNeeded: message.fields[field]) }
        let before = impairmentMemory
        guard number(1) > 0 else {
            obey { $0.impairments = nil }
            impairmentMemory?.links = nil
            impairmentMemory?.workerLinks = nil
            release(before)
            return
        }
        let size = number(2)
        let blocks = (size - ImpairmentCounters.clocksSize) / ImpairmentCounters.blockSize
        guard descriptors.count == 2, blocks > 0, size == ImpairmentCounters.size(blocks: blocks), number(3) >= 0,
            number(3) <= blocks - crew.count
        else { throw EngineError("impair links", because: "they came with other counters") }
        try Self.checkSealed(descriptors[0])
        let memory = try SharedMapping(mapping: descriptors[0], size: number(1), writable: false)
        let links = try ImpairmentSet(
            validating: UnsafeRawBufferPointer(start: memory.base, count: memory.size), interfaces: interfaces)
        var fresh: ImpairmentMemory
        if let before {
            fresh = before
        } else {
            let counters = try SharedMapping(mapping: descriptors[1], size: size, writable: true)
            let stores = try SharedMapping.reserve(crew.count * ImpairedTraffic.memorySize)
            let traffic = UnsafeMutablePointer<ImpairedTraffic>.allocate(capacity: crew.count)
            for worker in 0..<crew.count {
                (traffic + worker).initialize(
                    to: ImpairedTraffic(memory: stores + worker * ImpairedTraffic.memorySize))
            }
            fresh = ImpairmentMemory(counters: counters.leak(), traffic: traffic)
        }
        (fresh.links, fresh.linksSize) = (memory.base, memory.size)
        _ = memory.leak()
        let workerLinks = WorkerLinks.make(links, workers: crew.count)
        fresh.workerLinks = workerLinks
        let order = ImpairmentOrder(
            links: links, counters: fresh.counters, traffic: fresh.traffic, workerLinks: workerLinks,
            firstBlock: number(3))
        obey { $0.impairments = order }
        impairmentMemory = fresh
        release(before)
    }

    /// Gives back what no worker uses any more.
    private func release(_ before: ImpairmentMemory?) {
        if let links = before?.workerLinks { WorkerLinks.free(links, workers: crew.count) }
        if let links = before?.links { SharedMapping.unmap(links, size: before?.linksSize ?? 0) }
    }
}
