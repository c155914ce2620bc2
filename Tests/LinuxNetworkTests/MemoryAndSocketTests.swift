import CLinux
import Foundation
import LinuxNetwork
import Testing

extension LinuxTests {
    @Test func sealedMemoryNeverChanges() throws {
        try leavingNothing { _ in
            let contents: [UInt8] = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
            let memory = try contents.withUnsafeBytes { try SharedMemory(name: "table", sealed: $0) }
            #expect(memory.isSealed && Array(memory.bytes) == contents)
            #expect(pwrite(memory.descriptor, contents, 1, 0) == -1 && clinux_errno() == EPERM)
            #expect(ftruncate(memory.descriptor, 1) == -1)
            let writable = systemError {
                _ = try SharedMemory(
                    owning: OwnedDescriptor(owning: fcntl(memory.descriptor, F_DUPFD_CLOEXEC, 0)), writable: true)
            }
            #expect(writable?.errno == EPERM)
        }
    }

    @Test func messagesCarryDescriptors() throws {
        try leavingNothing { _ in
            let pair = try UnixSocket.pair()
            let memory = try SharedMemory(name: "counters", size: 4096)
            #expect(!memory.isSealed && ftruncate(memory.descriptor, 1 << 20) == -1)
            let numbers = [Int32](repeating: memory.descriptor, count: 200)
            try pair.first.send([1, 2, 3], descriptors: numbers)
            var message = try pair.second.receive(limit: 16)
            #expect(message.bytes == [1, 2, 3] && message.descriptors.count == 200)
            let other = try SharedMemory(owning: message.descriptors.takeFirst()!, writable: true)
            message.descriptors.closeAll()
            let mine = memory.bytes.baseAddress!.assumingMemoryBound(to: UInt64.self)
            let theirs = other.bytes.baseAddress!.assumingMemoryBound(to: UInt64.self)
            clinux_store_release_u64(mine, 42)
            #expect(clinux_load_acquire_u64(theirs) == 42)
            #expect(clinux_compare_exchange_u64(theirs, 42, 43) == 42 && clinux_load_relaxed_u64(mine) == 43)

            try pair.first.send([UInt8](repeating: 0, count: 100), descriptors: [memory.descriptor])
            #expect(systemError { _ = try pair.second.receive(limit: 10) }?.errno == EMSGSIZE)
        }
    }

    @Test func theEndOfAConnectionIsSeen() throws {
        try leavingNothing { _ in
            let pair = try UnixSocket.pair()
            #expect(shutdown(pair.first.descriptor.number, Int32(SHUT_RDWR)) == 0)
            let message = try pair.second.receive()
            #expect(message.bytes.isEmpty && message.descriptors.count == 0)
            #expect(systemError { try pair.second.send([1]) }?.errno == EPIPE)
        }
    }
}
