import CLinux
import Glibc

@testable import Engine

/// A queue that keeps messages apart, as a TAP's does, with its other end at hand.
final class QueuePair {
    /// The end that takes a queue's place, and the other one; neither blocks.
    let queue: Int32
    let end: Int32

    init() {
        var pair: [Int32] = [-1, -1]
        socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair)
        (queue, end) = (pair[0], pair[1])
        var size: Int32 = 16 << 20
        for socket in pair { setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, 4) }
    }

    deinit {
        close(queue)
        close(end)
    }

    /// Hands the queue a frame.
    func put(_ frame: [UInt8]) -> Bool { Glibc.write(end, frame, frame.count) == frame.count }

    /// All frames that were written to the queue.
    func takeAll() -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 17)
        while true {
            let count = Glibc.read(end, &buffer, buffer.count)
            guard count > 0 else { return frames }
            frames.append(Array(buffer[..<count]))
        }
    }
}

/// Writes of numbered frames, in turn to some interfaces, some of them with a body of their own.
struct NumberedWrites: ~Copyable {
    var list = WriteList()
    private let body: UnsafeMutablePointer<UInt8>
    private static let bodyCapacity = 4_096

    init() {
        body = .allocate(capacity: Self.bodyCapacity)
        for index in 0..<Self.bodyCapacity { body[index] = UInt8(truncatingIfNeeded: index) }
    }

    deinit { body.deallocate() }

    /// The octets of write `number`.
    static func frame(_ number: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(number)) { Array($0) }
            + (0..<(number % 3 == 0 ? 0 : number)).map { UInt8(truncatingIfNeeded: $0) }
    }

    mutating func fill(_ count: Int, interfaces: Int, first: Int = 0) {
        list.removeAll()
        for number in 0..<count {
            let header = list.nextHeader
            header.storeBytes(of: UInt64(number), as: UInt64.self)
            list.add(
                interface: first + number % interfaces, header: header, headerLength: 8, body: UnsafeRawPointer(body),
                bodyLength: number % 3 == 0 ? 0 : number, packets: 1)
        }
    }
}
