import Forwarding

/// The links of one worker. The engine's main thread makes and frees them, so that workers allocate nothing.
struct WorkerLinks {
    let links: UnsafeMutablePointer<ImpairedLink>
    let count: Int

    /// The links of each worker of an engine, at their beginning.
    ///
    /// - Parameter set: It outlives them.
    static func make(_ set: ImpairmentSet, workers: Int) -> UnsafeMutablePointer<WorkerLinks> {
        let all = UnsafeMutablePointer<WorkerLinks>.allocate(capacity: workers)
        for worker in 0..<workers {
            let links = UnsafeMutablePointer<ImpairedLink>.allocate(capacity: max(1, set.count))
            for place in 0..<set.count {
                var rule = set.rule(place).rule
                // Each worker has a sequence of its own; the first one has that of the seed.
                rule.stream ^= UInt64(worker) << 56
                (links + place).initialize(to: ImpairedLink(rule, trace: set.trace))
            }
            (all + worker).initialize(to: WorkerLinks(links: links, count: set.count))
        }
        return all
    }

    /// Frees them; no worker has them any more.
    static func free(_ all: UnsafeMutablePointer<WorkerLinks>, workers: Int) {
        for worker in 0..<workers {
            for place in 0..<all[worker].count { (all[worker].links + place).deinitialize(count: 1) }
            all[worker].links.deallocate()
        }
        all.deallocate()
    }
}
