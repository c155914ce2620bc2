import Engine
import Seeds
import Testing
import Wire

@testable import Tracing

@Suite struct ReorderTests {
    private func record(_ time: UInt64, _ worker: Int, _ sequence: UInt64) -> ReorderWindow.Record {
        ReorderWindow.Record(
            frame: CapturedFrame(
                direction: .received, interface: 0, time: MonotonicTime(nanoseconds: time), length: 0, octets: []),
            worker: worker, sequence: sequence, generation: 1)
    }

    private func all(_ window: inout ReorderWindow, _ all: Bool) -> [ReorderWindow.Record] {
        var records: [ReorderWindow.Record] = []
        while let record = window.take(all: all) { records.append(record) }
        return records
    }

    @Test func whatComesWithinTheWindowComesInOrder() {
        var generator = SeededGenerator(seed: Seed.drawn())
        var window = ReorderWindow(window: 1_000, capacity: 100_000)
        var taken: [UInt64] = []
        for number in 0..<20_000 as Range<UInt64> {
            let time = 10_000 + number * 10 - UInt64.random(in: 0...900, using: &generator)
            window.insert(record(time, 0, number))
            taken += all(&window, false).map(\.frame.time.nanoseconds)
        }
        taken += all(&window, true).map(\.frame.time.nanoseconds)
        #expect(taken.count == 20_000)
        #expect(taken == taken.sorted())
        #expect(all(&window, true).isEmpty)
    }

    @Test func tooManyGoAtOnce() {
        var window = ReorderWindow(window: 1_000_000, capacity: 10)
        for number in 0..<30 as Range<UInt64> {
            window.insert(record(5_000 + number, 0, number))
            #expect(all(&window, false).count == (number < 10 ? 0 : 1))
        }
        window.advance(to: 5_000_000)
        #expect(all(&window, false).map(\.sequence) == Array(20..<30))
    }

    @Test func equalTimesAreInTheOrderOfTheirNumbers() {
        var window = ReorderWindow(window: 0, capacity: 10)
        for (worker, sequence) in [(1, 5), (0, 9), (1, 4), (0, 8)] as [(Int, UInt64)] {
            window.insert(record(7, worker, sequence))
        }
        #expect(all(&window, true).map(\.sequence) == [8, 9, 4, 5])
    }
}
