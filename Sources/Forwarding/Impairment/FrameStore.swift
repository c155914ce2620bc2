/// Memory for frames that wait, in pieces of equal size. It never grows, and its pieces serve all links: what one does not use,
/// another can.
///
/// The bookkeeping stands in front of the pieces, in the same memory.
public struct FrameStore: ~Copyable {
    /// Octets of a piece: an Ethernet frame of 1514 octets and what stands before it need one.
    public static let pieceSize = 2_048
    private let pieces: UnsafeMutableRawPointer
    private let next: UnsafeMutablePointer<Int32>
    /// How many pieces there are.
    public let capacity: Int
    private var firstFree: Int32
    /// How many pieces are free.
    public private(set) var free: Int

    /// The octets of memory that so many pieces need.
    public static func size(pieces: Int) -> Int { (pieces * 4 + 63) & ~63 + pieces * pieceSize }

    /// All pieces are free.
    ///
    /// - Parameter memory: `size(pieces:)` octets, aligned to 64. They outlive the store.
    public init(memory: UnsafeMutableRawPointer, pieces count: Int) {
        capacity = count
        free = count
        next = memory.bindMemory(to: Int32.self, capacity: count)
        pieces = memory + (count * 4 + 63) & ~63
        // The pieces themselves are not touched before they are needed.
        for index in 0..<count { next[index] = index + 1 < count ? Int32(index + 1) : -1 }
        firstFree = count > 0 ? 0 : -1
    }

    /// Keeps a frame that is in two parts.
    ///
    /// - Returns: Its first piece, for `take`; nil if there is no room.
    public mutating func keep(
        _ header: UnsafeRawPointer, _ headerLength: Int, _ body: UnsafeRawPointer, _ bodyLength: Int
    ) -> Int32? {
        let length = headerLength &+ bodyLength
        let needed = (length &+ (Self.pieceSize &- 1)) / Self.pieceSize
        guard needed > 0, needed <= free else { return nil }
        let first = firstFree
        var piece = first
        var done = 0
        var last = first
        while done < length {
            let place = pieces + Int(piece) &* Self.pieceSize
            let count = min(Self.pieceSize, length &- done)
            let ofHeader = max(0, min(count, headerLength &- done))
            if ofHeader > 0 { place.copyMemory(from: header + done, byteCount: ofHeader) }
            if count > ofHeader {
                (place + ofHeader).copyMemory(
                    from: body + (done &+ ofHeader &- headerLength), byteCount: count &- ofHeader)
            }
            done &+= count
            last = piece
            piece = next[Int(piece)]
        }
        firstFree = piece
        next[Int(last)] = -1
        free &-= needed
        return first
    }

    /// Copies a frame out of its pieces, and frees them.
    ///
    /// - Parameters:
    ///   - first: The result of `keep`.
    ///   - target: Room for `length` octets: as many as were kept.
    public mutating func take(_ first: Int32, length: Int, to target: UnsafeMutableRawPointer) {
        var piece = first
        var done = 0
        while done < length {
            let count = min(Self.pieceSize, length &- done)
            (target + done).copyMemory(from: pieces + Int(piece) &* Self.pieceSize, byteCount: count)
            done &+= count
            let following = next[Int(piece)]
            next[Int(piece)] = firstFree
            firstFree = piece
            free &+= 1
            piece = following
        }
    }
}
