import CLinux
import Glibc
import Reporting
import Seeds
import Testing
import Wire

@testable import Engine

/// What engines may say, and what becomes of anything else.
@Suite struct EngineConversationTests {
    private func ready(_ generation: UInt64) -> EngineEvent {
        .ready(
            EngineConfinement(
                pid: 1, capabilities: 0, noNewPrivileges: true, seccompMode: 2, generation: generation,
                startTime: .microseconds(1)))
    }

    @Test("what was asked is answered in its order, and once")
    func order() throws {
        var talk = EngineConversation(first: 7)
        #expect(throws: ProtocolBreach.self) { try talk.accept(.applied(generation: 7)) }
        #expect(throws: ProtocolBreach.self) { try talk.accept(ready(8)) }
        try talk.accept(ready(7))
        #expect(throws: ProtocolBreach.self) { try talk.accept(ready(7)) }
        #expect(throws: ProtocolBreach.self) { try talk.accept(.refused(generation: 7, reason: "no")) }
        talk.hand(8)
        talk.hand(9)
        talk.hand(8)
        talk.assign(1)
        talk.ping(1)
        #expect(throws: ProtocolBreach.self) { try talk.accept(.applied(generation: 9)) }
        try talk.accept(.alive(1))
        try talk.accept(.applied(generation: 8))
        try talk.accept(.refused(generation: 9, reason: "no"))
        try talk.accept(.assigned(1))
        #expect(throws: ProtocolBreach.self) { try talk.accept(.assigned(1)) }
        #expect(talk.owesAnswer)
        try talk.accept(.applied(generation: 8))
        #expect(!talk.owesAnswer)
        #expect(throws: ProtocolBreach.self) { try talk.accept(.alive(2)) }
    }

    @Test("one that refuses its first table has nothing more to say")
    func refusal() throws {
        var talk = EngineConversation(first: 7)
        try talk.accept(.refused(generation: 7, reason: "no"))
        #expect(throws: ProtocolBreach.self) { try talk.accept(.refused(generation: 7, reason: "no")) }
        #expect(throws: ProtocolBreach.self) { try talk.accept(ready(7)) }
    }

    /// A link, and the engine's end of it.
    private func pair() throws -> (control: Int32, engine: Int32) { try EngineLink.makePair() }

    @Test("descriptors, and what is no message, are refused; nothing of them stays open")
    func refused() throws {
        let ends = try pair()
        let link = EngineLink(owning: ends.control)
        defer { close(ends.engine) }
        #expect(try link.receiveNow() == .nothing)
        let engine = ControlSocket(descriptor: ends.engine)
        let before = openDescriptors()
        for count in [1, 3, 200] {
            try engine.send(ControlMessage(.pong, [1]), descriptors: Array(repeating: ends.engine, count: count))
            #expect(throws: EngineError.self) { try link.receiveNow() }
        }
        for bytes in [
            [1], Array(repeating: 0, count: 511), Array(repeating: 0xFF, count: 512), Array(repeating: 7, count: 9000),
        ] {
            let octets = bytes.map { UInt8($0) }
            #expect(send(ends.engine, octets, octets.count, 0) == octets.count)
            #expect(throws: EngineError.self) { try link.receiveNow() }
        }
        for kind in [ControlMessage.Kind.hello, .queues, .table, .assign, .ping, .stop] {
            try engine.send(ControlMessage(kind))
            #expect(throws: EngineError.self) { try link.receiveNow() }
        }
        #expect(openDescriptors() == before)
        // It is still a link.
        try engine.send(ControlMessage(.pong, [5]))
        #expect(try link.receiveNow() == .event(.alive(5)))
        #expect(try link.receiveNow() == .nothing)
        let empty = send(ends.engine, nil, 0, 0)
        #expect(empty == 0)
        #expect(try link.receiveNow() == .end)
    }

    private func openDescriptors() -> Int { (0..<1024).count { fcntl($0, F_GETFD) >= 0 } }

    @Test("a reason is text that can be shown anywhere, of a length that is bounded")
    func reason() throws {
        let ends = try pair()
        let link = EngineLink(owning: ends.control)
        defer { close(ends.engine) }
        let engine = ControlSocket(descriptor: ends.engine)
        let nasty: [UInt8] =
            Array("a\u{1B}[2J\n\r\u{0}\u{202E}\u{2028}\u{200B}é".utf8) + [0xFF, 0xC3]
            + Array(repeating: 0x41, count: 900)
        try engine.send(ControlMessage(.refused, [3], payload: nasty))
        guard case .event(.refused(3, let reason)) = try link.receiveNow() else {
            Issue.record("it was not heard")
            return
        }
        #expect(reason.hasPrefix("a\u{FFFD}[2J") && reason.contains("é") && reason.utf8.count < 1000)
        let isHarmless = reason.unicodeScalars.allSatisfy(HarmlessText.isHarmless)
        #expect(isHarmless && HarmlessText.isHarmless("\u{FFFD}") && !HarmlessText.isHarmless("\u{7F}"))
    }

    @Test("counters of any content are read: sums wrap, records are what they are")
    func counters() {
        let seed = Seed.drawn()
        var random = SeededGenerator(seed: seed)
        let layout = CounterLayout(workers: 3, interfaces: 2, entries: 64)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: layout.size, alignment: 4096)
        defer { memory.deallocate() }
        for round in 0..<40 {
            for index in memory.indices {
                memory[index] =
                    round == 0 ? 0xFF : UInt8.random(in: 0...255, using: &random) & (round % 3 == 1 ? 0x11 : 0xFF)
            }
            // Records whose sequence is even can be read.
            if round % 2 == 0 {
                for worker in 0..<3 {
                    for reason in 0..<32 {
                        memory[layout.block(worker) + CounterLayout.lastsOffset + reason * 64] &= 0xFE
                    }
                }
            }
            var reader = CounterReader()
            for _ in 0..<2 { reader.add(memory: UnsafeRawPointer(memory.baseAddress!), layout: layout) }
            _ = (
                reader.drops(), reader.turns(), reader.coalesced(), reader.heartbeats(), reader.closedQueues(),
                reader.generations()
            )
            for counter in [Int.min, -1, 0, 63, 64, 5000, Int.max] {
                _ = (reader.entry(counter), reader.interface(counter), reader.writing(block: counter))
            }
            for blocks in [0..<0, 0..<3, -5..<100, Int.min..<Int.max] { _ = reader.received(blocks: blocks) }
            for (reason, _) in reader.drops() {
                guard let last = reader.lastDrop(reason) else { continue }
                #expect((0...0xFFFF).contains(last.interface) && "\(last.sourceMAC)".utf8.count == 17)
                _ = "\(last.source.map { "\($0)" } ?? "") \(last.destination.map { "\($0)" } ?? "")"
            }
            _ = CounterLayout(reading: memory.baseAddress!, size: memory.count)
        }
    }

    @Test("neighbour and drain tables of any content are read, healed and emptied")
    func neighbours() {
        var random = SeededGenerator(seed: Seed.drawn())
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: NeighbourTable.memorySize, alignment: 4096)
        defer { memory.deallocate() }
        let words = memory.bindMemory(to: UInt64.self)
        for round in 0..<6 {
            for index in words.indices {
                words[index] = round == 0 ? .max : round == 1 ? .max - 1 : UInt64.random(in: 0 ... .max, using: &random)
                // Slots that are in use.
                if round > 2, index % 8 == 1 { words[index] = 1 << 63 | 4 << 32 | words[index] & 3 }
                if round > 2, index % 8 == 0 { words[index] &= ~1 }
                if round > 2, index % 8 == 4 { words[index] = words[index] & ~(0xFF << 48) | 2 << 48 }
            }
            let table = NeighbourTable(memory: memory.baseAddress!)
            for entry in table.entries() { #expect(entry.tries <= 255 && entry.interface >= 0) }
            table.heal(table.unfinished())
            table.forget { $0.updated.nanoseconds > 1 << 63 }
            #expect(table.entries().allSatisfy { $0.updated.nanoseconds <= 1 << 63 })
            if round > 2 { #expect(table.entries().count > 100) }
            table.forget { _ in true }
            #expect(table.entries().isEmpty)
            let drains = DrainTable(behind: table)
            for group in [0, 63, 64, 1 << 40] {
                drains.beginPeriod(group)
                _ = drains.movedSlots(group)
                drains.clear(group) { $0 % 2 == 0 }
                drains.markUsed(group)
            }
        }
    }
}
