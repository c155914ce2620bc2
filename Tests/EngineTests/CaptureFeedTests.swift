import Testing
import Wire

@testable import Engine

/// A reader of rings knows when it should come back at once.
@Suite struct CaptureFeedTests {
    @Test func framesThatAreLeftInARingAreTold() throws {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: CaptureRing.size, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: CaptureRing.size)
        defer { memory.deallocate() }
        var writer = CaptureWriter(memory: memory)
        let feed = try #require(
            CaptureFeed(rings: UnsafeRawBufferPointer(start: memory, count: CaptureRing.size), count: 1, number: 0))
        let octets = [UInt8](repeating: 0, count: VirtioNetHeader.length + 54)
        func put(_ count: Int) {
            octets.withUnsafeBytes { octets in
                let parts = CaptureParts(
                    header: octets.baseAddress!, headerLength: octets.count, body: octets.baseAddress!, bodyLength: 0)
                for number in 0..<count {
                    writer.put(
                        .received, interface: 0, time: MonotonicTime(nanoseconds: UInt64(number)), generation: 1,
                        observers: 1, failure: 0, parts, most: octets.count)
                }
            }
        }
        put(5_000)
        #expect(feed.frames(before: .now).count == 4_096 && feed.fullness == 1)
        #expect(feed.frames(before: .now).count == 904 && feed.fullness < 0.125)
        #expect(feed.frames(before: .now).isEmpty && feed.fullness == 0)
        #expect(feed.lost == 0)
    }

    @Test func whatOnlyAnotherCaptureWantedIsNoGap() throws {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: CaptureRing.size, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: CaptureRing.size)
        defer { memory.deallocate() }
        var writer = CaptureWriter(memory: memory)
        let rings = UnsafeRawBufferPointer(start: memory, count: CaptureRing.size)
        let feed = try #require(CaptureFeed(rings: rings, count: 1, number: 1))
        let octets = [UInt8](repeating: 0, count: VirtioNetHeader.length + 54)
        func put(_ count: Int) {
            octets.withUnsafeBytes { octets in
                let parts = CaptureParts(
                    header: octets.baseAddress!, headerLength: octets.count, body: octets.baseAddress!, bodyLength: 0)
                for number in 0..<count {
                    writer.put(
                        .received, interface: 0, time: MonotonicTime(nanoseconds: UInt64(number)), generation: 1,
                        observers: number % 3 == 0 ? 3 : 1, failure: 0, parts, most: octets.count)
                }
            }
        }
        put(30)
        #expect(feed.frames(before: .now).map(\.sequence) == Array(0..<10))
        #expect(feed.lost == 0)
        // The ring goes round: what was overwritten is a gap.
        put(CaptureRing.capacity / 64)
        let between = UInt64(feed.frames(before: .now).count)
        put(6)
        let next = try #require(feed.frames(before: .now).first)
        #expect(feed.lost > 0 && next.sequence == 10 + between + feed.lost)
    }
}
