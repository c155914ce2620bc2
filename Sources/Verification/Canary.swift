import Wire

/// A frame that proves that a device is watched: it is delivered there as an engine delivers frames, and the watcher must see
/// it. No program and no table knows its type.
enum Canary {
    /// IEEE Std 802 - Local Experimental Ethertype 1.
    static let etherType: UInt16 = 0x88B5
    private static let words = Array("tapline canary".utf8)
    /// The least octets of a frame.
    private static let length = 60

    /// - Parameters:
    ///   - token: Tells the canaries of one watch from those of others.
    ///   - number: Tells canaries of one watch apart.
    static func frame(to destination: MACAddress, from source: MACAddress, token: UInt64, number: UInt32) -> [UInt8] {
        func octets(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
        }
        let frame =
            octets(destination.bits, 6) + octets(source.bits, 6) + octets(UInt64(etherType), 2) + words
            + octets(token, 8) + octets(UInt64(number), 4)
        return frame + Array(repeating: 0, count: length - frame.count)
    }

    /// True for a canary of any watch.
    static func isOne(_ frame: UnsafeRawBufferPointer) -> Bool {
        let start = EthernetView.length
        guard frame.count >= start + words.count, let ethernet = EthernetView(frame.bytes),
            ethernet.type == etherType
        else { return false }
        return frame[start..<start + words.count].elementsEqual(words)
    }

    /// The number of a canary; nil for other frames.
    static func number(of frame: UnsafeRawBufferPointer, token: UInt64) -> UInt32? {
        let start = EthernetView.length + words.count
        guard isOne(frame), frame.count >= start + 12 else { return nil }
        let value = { (range: Range<Int>) in frame[range].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        guard value(start..<start + 8) == token else { return nil }
        return UInt32(truncatingIfNeeded: value(start + 8..<start + 12))
    }
}
