import Engine
import Forwarding
import Glibc
import Reporting
import Wire

/// Whatever an engine says and writes, the control process takes no more than it has asked for, and reads all of it.
enum EngineProperties {
    /// Numbers that have a meaning somewhere, or are the last of something.
    private static let numbers: [UInt64] = [
        0, 1, 2, 3, 7, 255, 1 << 31, 1 << 32, 1 << 53, 1 << 63, .max, .max - 1, UInt64(bitPattern: -4711),
    ]
    private static let layout = CounterLayout(workers: 2, interfaces: 3, entries: 64)

    /// What engines write to, with one that has been there.
    private final class Memories {
        let counters = UnsafeMutableRawBufferPointer.allocate(byteCount: EngineProperties.layout.size, alignment: 4096)
        let neighbours = UnsafeMutableRawBufferPointer.allocate(byteCount: NeighbourTable.size, alignment: 4096)

        init() {
            for memory in [counters, neighbours] { memory.initializeMemory(as: UInt8.self, repeating: 0) }
        }

        deinit {
            counters.deallocate()
            neighbours.deallocate()
        }

        /// 64 octets, as the input has them, at a place that it chooses.
        func write(_ choices: inout ByteChoices, neighbour: Bool) {
            let (memory, slots) = neighbour ? (neighbours, 4097) : (counters, EngineProperties.layout.size / 64)
            let place = choices.word() % slots * 64
            let all = choices.octet()
            if all >= 0xF0 {
                for index in 0..<64 { memory[place + index] = all == 0xFF ? 0xFF : all & 0xE }
            } else {
                let some = choices.rest(64)
                for index in some.indices { memory[place + index] = some[index] }
            }
        }
    }

    static func check(_ input: UnsafeRawBufferPointer) throws(BrokenProperty) {
        var choices = ByteChoices(input)
        let ends: (control: Int32, engine: Int32)
        do throws(EngineError) { ends = try EngineLink.makePair() } catch { throw BrokenProperty("\(error)") }
        defer { close(ends.engine) }
        let link = EngineLink(owning: ends.control)
        var talk = EngineConversation(first: 1)
        // Made when the input writes to them: most of its time would go there.
        var memories: Memories?
        // `ready`, or the refusal of the first table.
        var asked = 1
        var taken = 0
        var isBroken = false
        var turns = 0
        while !choices.isUsedUp, turns < 64 {
            turns += 1
            switch choices.octet() % 8 {
            case 0:
                talk.hand(UInt64(choices.octet()))
                asked += 1
            case 1:
                talk.assign(UInt64(choices.octet()))
                asked += 1
            case 2:
                talk.ping(UInt64(choices.octet()))
                asked += 1
            case 3: say(message(&choices), at: ends.engine)
            case 4: say(Array(choices.rest(choices.word() % 700)), at: ends.engine)
            case 5: say(message(kind: 7, number: UInt64(choices.octet()), at: 4), at: ends.engine)
            case let choice:
                let written = memories ?? Memories()
                memories = written
                written.write(&choices, neighbour: choice == 7)
            }
            guard !isBroken else { continue }
            let hearing: EngineLink.Hearing
            do throws(EngineError) { hearing = try link.receiveNow() } catch {
                try require(!error.description.isEmpty, "a message is refused in silence")
                isBroken = true
                continue
            }
            guard case .event(let event) = hearing else { continue }
            if case .refused(_, let reason) = event {
                try require(
                    reason.unicodeScalars.allSatisfy(HarmlessText.isHarmless) && reason.unicodeScalars.count <= 438,
                    "a reason that does harm: \(reason.debugDescription)")
            }
            do throws(ProtocolBreach) {
                try talk.accept(event)
                taken += 1
            } catch {
                try require(!error.description.isEmpty, "a breach without a sentence")
                isBroken = true
            }
        }
        try require(taken <= asked, "\(taken) answers to \(asked) questions were taken")
        if let memories { try read(memories) }
    }

    private static func say(_ octets: [UInt8], at engine: Int32) {
        _ = send(engine, octets, octets.count, Int32(MSG_DONTWAIT))
    }

    /// A message of the protocol with a kind, a number and a text that the input chooses.
    private static func message(_ choices: inout ByteChoices) -> [UInt8] {
        let kind = UInt16(choices.octet() % 13)
        let choice = choices.octet()
        let number = choice < 200 ? UInt64(choice) : numbers[Int(choice) % numbers.count]
        let claimed = choices.octet()
        return message(
            kind: kind, number: number, at: 0, claimed: claimed == 0xFF ? 0xFFFF : UInt16(claimed) * 2,
            text: choices.rest(Int(choices.octet())))
    }

    private static func message(
        kind: UInt16, number: UInt64, at field: Int, claimed: UInt16 = 0,
        text: UnsafeRawBufferPointer = .init(start: nil, count: 0)
    ) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: 512)
        octets.withUnsafeMutableBytes { octets in
            octets.storeBytes(of: 0x4C50_4154, as: UInt32.self)
            octets.storeBytes(of: ControlMessage.version, toByteOffset: 4, as: UInt16.self)
            octets.storeBytes(of: kind, toByteOffset: 6, as: UInt16.self)
            octets.storeBytes(of: number, toByteOffset: 8 + field * 8, as: UInt64.self)
            octets.storeBytes(of: claimed, toByteOffset: 72, as: UInt16.self)
            for index in text.indices.prefix(438) { octets[74 + index] = text[index] }
        }
        return octets
    }

    private static func read(_ memories: Memories) throws(BrokenProperty) {
        guard let counters = memories.counters.baseAddress, let neighbours = memories.neighbours.baseAddress else {
            return
        }
        var reader = CounterReader()
        for _ in 0..<2 { reader.add(memory: counters, layout: layout) }
        _ = (reader.turns(), reader.coalesced(), reader.heartbeats(), reader.closedQueues(), reader.generations())
        for index in -1...64 { _ = (reader.entry(index), reader.interface(index), reader.writing(block: index)) }
        _ = reader.received(blocks: 0..<2)
        for (reason, _) in reader.drops() {
            guard let last = reader.lastDrop(reason) else { continue }
            try require(
                (0...0xFFFF).contains(last.interface) && last.sourceMAC.bits < 1 << 48
                    && "\(last.sourceMAC)".utf8.count == 17, "a frame that none can be")
        }
        if let summary = CounterLayout(reading: counters, size: layout.size) {
            try require(summary.size <= layout.size, "a layout that is larger than its memory")
        }
        let table = NeighbourTable(memory: neighbours)
        for entry in table.entries() {
            try require((0...255).contains(entry.tries) && entry.interface >= 0, "a neighbour that none can be")
        }
        table.heal(table.unfinished())
        table.forget { _ in true }
        try require(table.entries().isEmpty && table.unfinished().isEmpty, "neighbours that stay")
    }
}
