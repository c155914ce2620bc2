import Engine
import EventLoop
import Forwarding
import Glibc
import Logging
import Plan
import Reporting

/// The counters of impaired links, which engines write. They go with their last owner.
final class ImpairmentMemory {
    let memory: EngineLink.Memory
    let blocks: Int
    private let mapping: SharedMapping

    /// - Throws: `EngineError` if the system has no memory for them.
    init(blocks: Int) throws(EngineError) {
        let descriptor = try SharedMapping.makeImpairmentCounters(blocks: blocks)
        do throws(EngineError) {
            mapping = try SharedMapping(
                mapping: descriptor, size: ImpairmentCounters.size(blocks: blocks), writable: true)
        } catch {
            close(descriptor)
            throw error
        }
        self.blocks = blocks
        memory = EngineLink.Memory(descriptor: descriptor, size: ImpairmentCounters.size(blocks: blocks))
    }

    deinit { close(memory.descriptor) }

    func count(slot: Int) -> ImpairmentCount { ImpairmentCounters.read(mapping.base, blocks: blocks, slot: slot) }

    func clear(slot: Int) { ImpairmentCounters.clear(mapping.base, blocks: blocks, slot: slot) }
}

/// Impaired links as engines map them: an image for each number of interfaces that an engine has.
final class LinkImages {
    private let links: [ImpairedLinkOrder]
    private let generation: UInt64
    private var images: [Int: SealedMemory] = [:]

    /// - Throws: `EngineError` if there are too many, or if the system has no memory for them.
    init(_ links: [ImpairedLinkOrder], generation: UInt64, interfaces: Int) throws(EngineError) {
        (self.links, self.generation) = (links, generation)
        _ = try image(interfaces: interfaces)
    }

    func image(interfaces: Int) throws(EngineError) -> SealedMemory {
        if let known = images[interfaces] { return known }
        let made = try SealedMemory(ImpairmentSet.bytes(links, interfaces: interfaces), generation: generation)
        images[interfaces] = made
        return made
    }
}

/// The impaired links that all engines have.
extension EngineFleet {
    /// A change of links on its way to the engines.
    struct PendingImpairment {
        let number: UInt64
        let done: (Result<Void, ApplianceError>) -> Void
    }

    /// The state of impaired links.
    struct Impairments {
        /// The links of the moment; nil: there are none.
        var links: LinkImages?
        /// Their counters; nil before there are any.
        var memory: ImpairmentMemory?
        /// Those of earlier engines, which had fewer workers.
        var former: [ImpairmentMemory] = []
        /// The number of the newest links that engines were handed.
        var number: UInt64 = 0
        /// The changes that not every engine has answered yet.
        var pending: [PendingImpairment] = []

        /// Nobody answers any more.
        mutating func cancel() {
            for change in pending { change.done(.failure(.cancelled)) }
            pending = []
        }
    }

    /// What was done to the packets of the link with this slot.
    package func impairmentCount(slot: Int) -> ImpairmentCount {
        (impairments.former + [impairments.memory].compactMap { $0 })
            .reduce(ImpairmentCount()) { $0 + $1.count(slot: slot) }
    }

    /// Has the frames of all engines cross these links, and no others. An engine that starts later has them, too.
    ///
    /// - Parameters:
    ///   - fresh: The slots whose counters begin at zero.
    ///   - done: Called when every engine does so, or with why one refuses.
    package func impair(
        _ links: [ImpairedLinkOrder], fresh: [Int], _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        loop.preconditionCurrent()
        guard !hasStopped else { return done(.failure(.cancelled)) }
        guard !links.isEmpty || impairments.links != nil else { return done(.success(())) }
        do throws(EngineError) {
            if links.isEmpty {
                impairments.links = nil
            } else {
                let memory: ImpairmentMemory
                if let present = impairments.memory {
                    memory = present
                } else {
                    memory = try ImpairmentMemory(blocks: resources.counterLayout.workers)
                }
                impairments.memory = memory
                impairments.links = try LinkImages(
                    links, generation: impairments.number + 1, interfaces: resources.interfaces)
                for slot in fresh {
                    for memory in impairments.former + [memory] { memory.clear(slot: slot) }
                }
            }
        } catch {
            return done(.failure(ApplianceError(.failed, "\(error)")))
        }
        impairments.number += 1
        impairments.pending.append(PendingImpairment(number: impairments.number, done: done))
        for process in living where process.phase == .ready { handImpairments(process) }
        settleImpairments()
    }

    /// Gives the present links to an engine that has not got them.
    func handImpairments(_ process: EngineProcess) {
        guard process.handedImpairments != impairments.number, let memory = impairments.memory else { return }
        do throws(EngineError) {
            process.impair(
                try impairments.links?.image(interfaces: process.interfaces), counters: memory.memory,
                number: impairments.number)
        } catch {
            // Its successor gets them.
            process.complaint = "\(error)"
            process.end()
        }
    }

    /// Reports every kind of change that all ready engines have answered: one that has not answered may have ended.
    func settleAll() {
        settlePublications()
        settleObservations()
        settleImpairments()
    }

    /// Reports the changes that every ready engine has answered.
    func settleImpairments() {
        let ready = living.filter { $0.phase == .ready }
        for process in ready where process.impaired == impairments.number {
            guard let refusal = process.impairmentRefusal else { continue }
            logger.error("engine process \(process.pid) refused to impair links: \(refusal)")
        }
        while let first = impairments.pending.first {
            // One that became ready since has got all of it, or needs nothing.
            let asked = ready.filter { $0.handedImpairments >= first.number }
            guard asked.allSatisfy({ $0.impaired >= first.number }) else { return }
            impairments.pending.removeFirst()
            let refusal = ready.lazy.compactMap { $0.impaired == first.number ? $0.impairmentRefusal : nil }.first
            if let refusal {
                first.done(.failure(ApplianceError(.failed, "an engine refused to impair links: \(refusal)")))
            } else {
                first.done(.success(()))
            }
        }
    }
}
