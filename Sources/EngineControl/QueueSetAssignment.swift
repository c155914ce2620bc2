import Engine
import Plan

extension EnginesPlan {
    /// The queue sets that all queues are divided into: engine `e` owns `e * workers ..< (e + 1) * workers`.
    var queueSetCount: Int { count * workers }

    /// For each queue of each interface the queue set that it belongs to.
    ///
    /// Where engines share by queues, a queue set is one queue index: the queues of that index, of every interface.
    /// Where they share by direction, each interface belongs to one engine, with a queue for each of that engine's
    /// workers.
    ///
    /// A TAP may have more queues than the engines need, because there were more engines before: then several queues of it
    /// are in one queue set.
    func queueSets(of queues: [[Int32]]) -> [[Int]] {
        queues.enumerated().map { interface, queues in
            switch sharing {
            case .queues: return queues.indices.map { $0 % queueSetCount }
            case .direction:
                let engine = interface < engineOfInterface.count ? engineOfInterface[interface] : 0
                return queues.indices.map { engine * workers + $0 % workers }
            }
        }
    }
}

/// Assigns queue sets to engines. A fit engine reads its own queue sets; the others share the rest evenly. It is a pure
/// function of the engines' fitness, so no queue set moves without need.
struct QueueSetAssignment: Equatable {
    /// How fit an engine is to read. The fittest engines read. Others read only if there are none of these.
    enum Fitness: Int, Comparable {
        /// There is no process that could.
        case absent
        /// An operator has asked it not to read.
        case drained
        case fit

        static func < (first: Fitness, second: Fitness) -> Bool { first.rawValue < second.rawValue }
    }

    /// The index of the engine that reads each queue set; nil if none can.
    let owners: [Int?]

    init(workers: Int, fitness: [Fitness]) {
        let best = fitness.max() ?? .absent
        let readers = best == .absent ? [] : fitness.indices.filter { fitness[$0] == best }
        var orphans = 0
        owners = (0..<fitness.count * workers).map { queueSet in
            guard !readers.isEmpty else { return nil }
            let home = queueSet / workers
            if fitness[home] == best { return home }
            orphans += 1
            return readers[(orphans - 1) % readers.count]
        }
    }

    /// The queue sets of one engine.
    func queueSets(of engine: Int) -> QueueSets {
        QueueSets(owners.indices.filter { owners[$0] == engine })
    }

    /// The queue sets that another engine reads than before, by the two engines.
    func moves(since before: QueueSetAssignment) -> [Move] {
        var moves: [Move] = []
        for (queueSet, pair) in zip(before.owners, owners).enumerated() {
            guard let from = pair.0, let to = pair.1, from != to else { continue }
            if let index = moves.firstIndex(where: { $0.from == from && $0.to == to }) {
                moves[index].queueSets.insert(queueSet)
            } else {
                moves.append(Move(from: from, to: to, queueSets: QueueSets([queueSet])))
            }
        }
        return moves
    }

    /// Queue sets that go from one engine to another.
    struct Move: Equatable {
        /// The index of the engine that read them.
        var from: Int
        /// The index of the one that reads them now.
        var to: Int
        var queueSets: QueueSets
    }
}
