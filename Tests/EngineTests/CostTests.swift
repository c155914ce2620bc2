#if !DEBUG
    import CAllocations
    import Engine
    import Glibc
    import Testing

    /// What forwarding costs in allocations: none. What it costs in time is measured by Tests/Measure.
    @Suite(.serialized) struct CostTests {
        @Test func noFrameCostsAnAllocation() throws {
            for kind in ProcessingKind.all {
                let pipeline = try Pipeline()
                var worker = kind.worker(pipeline)
                worker.replay(turns: 10)
                allocations_begin()
                worker.replay(turns: 100_000 / 64 + 1)
                let allocations = allocations_end()
                #expect(allocations == 0, "\(kind.name)")
                withExtendedLifetime(pipeline) {}
            }
            for kind in CircuitKind.all {
                let pipeline = try Pipeline(CircuitRig.tableWithPlain)
                var worker = kind.worker(pipeline)
                for _ in 0..<10 { worker.turn(wait: false) }
                allocations_begin()
                for _ in 0..<2_000 { worker.turn(wait: false) }
                let allocations = allocations_end()
                #expect(allocations == 0, "\(kind.name)")
                #expect(pipeline.allDrops == "", "\(kind.name)")
                withExtendedLifetime(pipeline) {}
            }
            // The counter counts.
            allocations_begin()
            let array = [Int](repeating: Int.random(in: 1...2), count: Int.random(in: 1_000...2_000))
            let allocations = allocations_end()
            #expect(allocations > 0)
            #expect(array.count >= 1_000)
        }

        /// Reading and writing queues, too.
        @Test(arguments: FrameIOTests.ways) func noReadOrWriteCostsAnAllocation(_ way: EngineTuning.Writing) throws {
            let pairs = (0..<2).map { _ in QueuePair() }
            defer { withExtendedLifetime(pairs) {} }
            var io = try FrameIOTests.io(pairs.map(\.queue), way)
            var writes = NumberedWrites()
            var batch = FrameBatch()
            let frame = [UInt8](repeating: 7, count: 60)
            var buffer = [UInt8](repeating: 0, count: 4_096)
            var moved = 0
            for round in 0..<12 {
                if round == 2 { allocations_begin() }
                for _ in 0..<20 { _ = pairs[0].put(frame) }
                for position in 0..<io.wait(.zero) {
                    io.receive(position, into: &batch)
                    moved &+= batch.count
                }
                writes.fill(300, interfaces: 2)
                io.send(writes.list)
                for pair in pairs {
                    while read(pair.end, &buffer, buffer.count) > 0 { moved &+= 1 }
                }
            }
            let allocations = allocations_end()
            #expect(allocations == 0)
            #expect(moved == 12 * 320)
        }

        @Test func kindsThatAreToBeCoalescedAre() throws {
            for kind in ProcessingKind.all {
                let pipeline = try Pipeline()
                var worker = kind.worker(pipeline)
                worker.replay(turns: 1)
                let coalesced = pipeline.coalesced
                #expect(
                    kind.name.hasPrefix("coalesced") ? coalesced >= 60 : coalesced == 0, "\(kind.name): \(coalesced)")
                withExtendedLifetime(pipeline) {}
            }
        }
    }
#endif
