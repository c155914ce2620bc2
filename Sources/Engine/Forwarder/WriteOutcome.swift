import CLinux
import Forwarding

/// What the `failure` of a write means: 0, an errno, or one of these, which are no errno.
enum WriteOutcome {
    /// An impaired link has it, and counts it when it is sent.
    static let held: Int32 = 1_000_000
    /// An impaired link has lost it, and has counted that.
    static let impairedLoss: Int32 = 1_000_001
    /// An impaired link had no room for it, and has counted that.
    static let impairedQueue: Int32 = 1_000_002
    /// It was dropped for a reason, which has been counted.
    static func dropped(_ reason: DropReason) -> Int32 { firstReason + Int32(reason.rawValue) }
    static let firstReason: Int32 = 1_000_100
}

extension DropReason {
    /// Why a write with this `FrameWrite.failure`, which is not 0, was dropped.
    public init(writing failure: Int32) {
        self =
            switch failure {
            case EAGAIN, ENOBUFS, ENOMEM: .tapFull
            // EIO: the device is down. EBADFD: its queue is detached, or the device is deleted.
            case EIO, EBADFD, ENODEV, ENXIO, ENETDOWN: .interfaceGone
            case WriteOutcome.impairedLoss: .impairedLoss
            case WriteOutcome.impairedQueue: .impairedQueue
            case WriteOutcome.firstReason...WriteOutcome.firstReason + 255:
                DropReason(rawValue: UInt8(truncatingIfNeeded: failure - WriteOutcome.firstReason)) ?? .sendFailed
            default: .sendFailed
            }
    }
}

extension CounterBlock {
    /// Counts the writes of a list that was sent.
    @inline(__always)
    func countWrites(_ list: borrowing WriteList) {
        guard list.count > 0 else { return }
        // Most writes of a batch leave on one interface, or on a few in turn.
        var (interface, packets, octets) = (list.writes.pointee.interface, 0, 0)
        for index in 0..<list.count {
            let write = list.writes + index
            guard write.pointee.failure == 0 else {
                countFailure(write)
                continue
            }
            if write.pointee.interface != interface {
                countSent(interface, packets: packets, bytes: octets)
                (interface, packets, octets) = (write.pointee.interface, 0, 0)
            }
            packets &+= write.pointee.packets
            octets &+= write.pointee.octets
        }
        countSent(interface, packets: packets, bytes: octets)
    }

    private func countFailure(_ write: UnsafeMutablePointer<FrameWrite>) {
        guard write.pointee.failure < WriteOutcome.held else { return }
        countDrop(DropReason(writing: write.pointee.failure), write.pointee.packets)
        countSendDrop(write.pointee.interface, write.pointee.packets)
    }
}
