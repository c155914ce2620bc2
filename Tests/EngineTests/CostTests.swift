#if !DEBUG
    import CAllocations
    import Engine
    import Forwarding
    import Glibc
    import Testing
    import Wire

    /// What forwarding costs in allocations (none) and in time (printed).
    @Suite(.serialized) struct CostTests {
        typealias F = TestFrame
        private static let four = FourInterfaces.self

        private static var kinds: [(String, Int, [[UInt8]])] {
            let none = [UInt8](repeating: 0, count: 10)
            func alice(_ packet: [UInt8], _ offload: [UInt8]? = nil) -> [UInt8] {
                (offload ?? none) + F.frame(packet, from: four.alice, to: four.engine[0])
            }
            let payload = [UInt8](repeating: 5, count: 18)
            let hostile: [[UInt8]] = (0..<64).map {
                Array(alice(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80)).prefix(11 + $0))
            }
            return [
                (
                    "one copy, MAC address, IPv4", 2,
                    (0..<64).map {
                        none
                            + F.frame(
                                F.tcp("192.0.2.10", 4_000 + $0, "203.0.113.80", 80, payload: payload),
                                from: four.firewallOut, to: four.engine[2])
                    }
                ),
                (
                    "two copies, MAC address, IPv4", 0,
                    (0..<64).map { alice(F.tcp("192.0.2.10", 4_000 + $0, "203.0.113.80", 80)) }
                ),
                (
                    "two copies, MAC address, IPv6", 0,
                    (0..<64).map { alice(F.tcp("2001:db8:2::10", 4_000 + $0, "2001:db8:cb::80", 80)) }
                ),
                (
                    "network address, IPv4 UDP", 0,
                    (0..<64).map { alice(F.udp("192.0.2.10", 4_000 + $0, "203.0.113.53", 53)) }
                ),
                (
                    "network address, IPv6 TCP", 0,
                    (0..<64).map { alice(F.tcp("2001:db8:2::10", 4_000 + $0, "2001:db8:cb::53", 53)) }
                ),
                (
                    "customer found by neighbour", 1,
                    (0..<64).map {
                        none
                            + F.frame(
                                F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000 + $0),
                                from: four.firewallIn, to: four.engine[1])
                    }
                ),
                ("malformed", 0, hostile),
                (
                    "no service, ICMP errors at their rate", 0,
                    (0..<64).map { alice(F.udp("192.0.2.10", 4_000 + $0, "198.51.100.9", 53)) }
                ),
                (
                    "unresolved neighbour", 1,
                    (0..<64).map {
                        none
                            + F.frame(
                                F.tcp("203.0.113.80", 80, "192.0.2.\(100 + $0)", 4_000),
                                from: four.firewallIn, to: four.engine[1])
                    }
                ),
                (
                    "ARP requests", 0,
                    (0..<64).map {
                        none
                            + F.arp(
                                1, from: F.mac(0xB00 + UInt64($0)), "192.0.2.\(100 + $0)", to: .broadcast, "192.0.2.1")
                    }
                ),
                ("echo", 0, (0..<64).map { _ in alice(F.icmp("192.0.2.10", "192.0.2.1", type: 8)) }),
            ]
        }

        private func worker(_ interface: Int, _ frames: [[UInt8]], _ pipeline: Pipeline) throws -> Worker<ReplayFrameIO>
        {
            Worker(
                io: ReplayFrameIO(interface: interface, frames: frames), table: pipeline.published,
                neighbours: pipeline.neighbours, worker: 0)
        }

        @Test func noFrameCostsAnAllocation() throws {
            for (kind, interface, frames) in Self.kinds {
                let pipeline = try Pipeline()
                var worker = try worker(interface, frames, pipeline)
                worker.replay(turns: 10)
                allocations_begin()
                worker.replay(turns: 100_000 / 64 + 1)
                let allocations = allocations_end()
                #expect(allocations == 0, "\(kind)")
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
                for turn in 0..<io.wait(milliseconds: 0) {
                    io.receive(turn, into: &batch)
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

        @Test func timeIsPrinted() throws {
            for (kind, interface, frames) in Self.kinds {
                let pipeline = try Pipeline()
                var worker = try worker(interface, frames, pipeline)
                worker.replay(turns: 1_000)
                var best = UInt64.max
                for _ in 0..<5 {
                    let start = monotonicNanoseconds()
                    worker.replay(turns: 3_000)
                    best = min(best, monotonicNanoseconds() - start)
                }
                let each = Double(best) / Double(3_000 * frames.count)
                print("engine: \(kind): \(Int(each * 10 + 0.5) / 10).\(Int(each * 10 + 0.5) % 10) ns a frame")
                withExtendedLifetime(pipeline) {}
            }
        }
    }
#endif
