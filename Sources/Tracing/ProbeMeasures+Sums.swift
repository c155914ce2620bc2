extension ProbeMeasures {
    /// The sums over all packets. A sum that nobody can tell exactly has two ends.
    package struct Sums: Sendable {
        /// Packets that were sent.
        package var sent = 0
        /// Those that arrived for sure.
        package var arrived = 0
        /// Those that did not for sure.
        package var lost = 0
        /// Those that nobody can tell of.
        package var unknown = 0
        /// Of answers: the lost packets that reached the end of their chain.
        package var unanswered = 0
        /// Packets that arrived behind one of their flow that was sent later (RFC 4737, section 3).
        package var reordered = 0
        /// The longest time in which nothing arrived, if all the unknown packets arrived, and if none of them did.
        package var longestGap: ClosedRange<UInt64> = 0...0
        /// The longest time that the sender was late by.
        package var latest: UInt64 = 0
        /// How long the sender did not send and nothing was under way, in which nobody can tell.
        package var silence: UInt64 = 0
    }

    /// Sums up.
    ///
    /// - Parameters:
    ///   - answers: True: an answer is an arrival.
    ///   - isWhole: False if records are missing: packets without a trace may have arrived then.
    package func sums(answers: Bool = false, isWhole: Bool = true) -> Sums {
        var sums = Sums()
        sums.sent = probes.count
        var arrivals: [Arrival] = []
        for (number, probe) in probes.enumerated() {
            switch state(probe, answers, isWhole) {
            case .arrived:
                sums.arrived += 1
                arrivals.append(
                    Arrival(
                        number: number, flow: probe.flow, time: answers ? probe.answered : probe.arrived,
                        order: answers ? probe.answerOrder : probe.arrivalOrder))
            case .unknown: sums.unknown += 1
            case .lost, .unseen:
                sums.lost += 1
                if answers, probe.fate == .arrived { sums.unanswered += 1 }
            }
        }
        arrivals.sort { ($0.time, $0.order) < ($1.time, $1.order) }
        sums.reordered = Self.reordered(arrivals)
        for (probe, next) in zip(probes, probes.dropFirst()) {
            let gap = next.sent - min(next.sent, probe.sent)
            sums.latest = max(sums.latest, gap - min(gap, interval))
        }
        let longest = longestGap(arrivals.map(\.time), answers, isWhole, unknownArrived: false)
        sums.silence = longest.silence
        var least = longest.gap
        if sums.unknown > 0 {
            let more = probes.filter { state($0, answers, isWhole) == .unknown }.map(\.sent)
            least = longestGap((arrivals.map(\.time) + more).sorted(), answers, isWhole, unknownArrived: true).gap
        }
        sums.longestGap = min(least, longest.gap)...longest.gap
        return sums
    }

    private struct Arrival {
        var number: Int
        var flow: Int
        var time: UInt64
        var order: Int
    }

    private func state(_ probe: Probe, _ answers: Bool, _ isWhole: Bool) -> Fate {
        if answers {
            if probe.answered > 0 { return .arrived }
            return probe.fate == .unknown || !isWhole ? .unknown : .lost
        }
        return probe.fate == .unseen && !isWhole ? .unknown : probe.fate
    }

    private static func reordered(_ arrivals: [Arrival]) -> Int {
        var newest: [Int: Int] = [:]
        var count = 0
        for arrival in arrivals {
            if let last = newest[arrival.flow], arrival.number < last {
                count += 1
            } else {
                newest[arrival.flow] = arrival.number
            }
        }
        return count
    }

    /// The longest time between two arrivals; from the first sending to the first of them, and from the last of them to the
    /// last sending, too.
    ///
    /// The sender's own stalls do not count: while it was late and everything that it had sent before had arrived, there was
    /// nothing that could arrive. A stall between two packets that are both lost counts.
    private func longestGap(
        _ times: [UInt64], _ answers: Bool, _ isWhole: Bool, unknownArrived: Bool
    ) -> (gap: UInt64, silence: UInt64) {
        guard let first = probes.first, let last = probes.last else { return (0, 0) }
        let silences = self.silences(answers, isWhole, unknownArrived: unknownArrived)
        var longest: UInt64 = 0
        var next = 0
        var total: UInt64 = 0
        func judge(_ from: UInt64, _ to: UInt64) {
            guard to > from else { return }
            var gap = to - from
            while next < silences.count, silences[next].upperBound <= from { next += 1 }
            var index = next
            while index < silences.count, silences[index].lowerBound < to {
                let (begin, end) = (max(silences[index].lowerBound, from), min(silences[index].upperBound, to))
                if end > begin {
                    gap -= min(gap, end - begin)
                    total += end - begin
                }
                index += 1
            }
            longest = max(longest, gap)
        }
        var before = first.sent
        for time in times {
            judge(before, time)
            before = max(before, time)
        }
        judge(before, last.sent)
        return (longest, total)
    }

    /// The times in which the sender was late and nothing could arrive, in order.
    private func silences(_ answers: Bool, _ isWhole: Bool, unknownArrived: Bool) -> [Range<UInt64>] {
        func hasArrived(_ probe: Probe) -> Bool {
            let fate = state(probe, answers, isWhole)
            return fate == .arrived || (unknownArrived && fate == .unknown)
        }
        return zip(probes, probes.dropFirst()).compactMap { probe, next in
            guard hasArrived(probe) || hasArrived(next) else { return nil }
            let arrival = answers ? probe.answered : probe.arrived
            let begin = max(probe.sent + interval, arrival)
            // What a timer's grain makes late is no stall.
            return next.sent > begin + interval ? begin..<next.sent : nil
        }
    }
}
