extension EngineFleet {
    /// An engine's place. Its process reads, or is about to read. The successor takes the place when it is ready.
    struct Member {
        var process: EngineProcess?
        var successor: EngineProcess?
        /// An operator has asked it not to read.
        var isDrained = false
        var backoff = RestartBackoff()
        var starts = 0
        var lastEnd: String?
        /// The work of earlier processes that have ended, and those that have left the place and not ended yet.
        var past = EngineWork()
        var former: [EngineProcess] = []

        /// Its process is about to leave the place. It may count until it ends.
        ///
        /// - Parameter living: The processes that have not ended.
        mutating func noteLeaving(_ living: [EngineProcess]) {
            guard let process, living.contains(where: { $0 === process }) else { return }
            former.append(process)
        }
    }
}
