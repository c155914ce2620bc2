import Engine
import EngineRig
import Wire

/// Prints what one frame costs from its parsing to its writes, by kind: the least of several rounds, all kinds in turn in
/// each, so that what else the machine does falls on all alike.
///
/// - Parameter words: Only kinds whose names contain this; nil: all.
func measureProcessing(_ words: String?) throws {
    let rounds = 15
    let turns = 1_000
    let kinds = ProcessingKind.all.filter { words.map($0.name.contains) ?? true }
    let pipelines = try kinds.map { _ in try Pipeline() }
    var best = [UInt64](repeating: .max, count: kinds.count)
    for _ in 0..<rounds {
        for (index, kind) in kinds.enumerated() {
            var worker = kind.worker(pipelines[index])
            worker.replay(turns: 100)
            let start = MonotonicTime.now.nanoseconds
            worker.replay(turns: turns)
            best[index] = min(best[index], MonotonicTime.now.nanoseconds - start)
        }
    }
    withExtendedLifetime(pipelines) {}
    for (index, kind) in kinds.enumerated() {
        let each = Double(best[index]) / Double(turns * kind.frames.count)
        print(#"{"kind":"\#(kind.name)","nanoseconds":\#((each * 10).rounded() / 10)}"#)
    }
}

/// Prints what a frame costs that comes from a circuit, or goes to one, beside plain frames of the same table.
func measureCircuits(_ words: String?) throws {
    let (rounds, turns) = (15, 1_000)
    let kinds = CircuitKind.all.filter { words.map($0.name.contains) ?? true }
    let pipelines = try kinds.map { _ in try Pipeline(CircuitRig.tableWithPlain) }
    var best = [UInt64](repeating: .max, count: kinds.count)
    for _ in 0..<rounds {
        for (index, kind) in kinds.enumerated() {
            var worker = kind.worker(pipelines[index])
            for _ in 0..<100 { worker.turn(wait: false) }
            let start = MonotonicTime.now.nanoseconds
            for _ in 0..<turns { worker.turn(wait: false) }
            best[index] = min(best[index], MonotonicTime.now.nanoseconds - start)
        }
    }
    withExtendedLifetime(pipelines) {}
    for (index, kind) in kinds.enumerated() {
        let each = Double(best[index]) / Double(turns * kind.frames.count)
        print(#"{"kind":"\#(kind.name)","headers":\#(kind.headers),"nanoseconds":\#(short(each))}"#)
    }
}
