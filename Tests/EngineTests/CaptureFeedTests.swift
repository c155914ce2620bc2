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
}
