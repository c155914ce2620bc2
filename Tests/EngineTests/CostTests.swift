#if !DEBUG
    import CAllocations
    import Engine
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
            // The counter counts.
            allocations_begin()
            let array = [Int](repeating: Int.random(in: 1...2), count: Int.random(in: 1_000...2_000))
            let allocations = allocations_end()
            #expect(allocations > 0)
            #expect(array.count >= 1_000)
        }

        @Test func kindsThatAreToBeJoinedAre() throws {
            for kind in ProcessingKind.all {
                let pipeline = try Pipeline()
                var worker = kind.worker(pipeline)
                worker.replay(turns: 1)
                let joined = pipeline.joined
                #expect(kind.name.hasPrefix("joined") ? joined >= 60 : joined == 0, "\(kind.name): \(joined)")
                withExtendedLifetime(pipeline) {}
            }
        }
    }
#endif
