import Forwarding

/// The mapped memory of a table, twice: the image that workers read, and one that follows it. A patch goes to the second
/// one, then the workers read that, then it goes to the first. So no worker sees a part of a patch.
///
/// Both are mappings of one sealed memory, which share its pages until they are written to. So the second one costs as much
/// memory as patches have changed.
struct TableImages {
    private var base: UnsafeMutableRawPointer
    private var inForce: WritableSnapshot
    /// The other image; nil if it cannot follow any more. Then only a whole table comes next.
    private var spare: (base: UnsafeMutableRawPointer, image: WritableSnapshot)?
    /// Where the other one is mapped.
    private var spareBase: UnsafeMutableRawPointer
    private let size: Int
    /// True once the pages of the other one are in the page tables; those of the first are, because all of it was checked.
    private var isTouched = false

    /// The table with its own groups, as workers read it.
    var snapshot: Snapshot { inForce.snapshot }

    /// Maps and checks a table.
    ///
    /// - Parameter descriptor: Sealed memory.
    init(_ descriptor: Int32, size: Int) throws(EngineError) {
        let first = try SharedMapping(mapping: descriptor, size: size, writable: true, copies: true)
        let second = try SharedMapping(mapping: descriptor, size: size, writable: true, copies: true)
        do throws(SnapshotError) {
            inForce = try WritableSnapshot(
                validating: UnsafeMutableRawBufferPointer(start: first.base, count: size), resting: SharedMapping.rest)
        } catch { throw EngineError("take the table", because: "\(error)") }
        self.size = size
        spareBase = second.base
        spare = (
            second.base,
            WritableSnapshot(inForce, in: UnsafeMutableRawBufferPointer(start: second.base, count: size))
        )
        base = first.leak()
        _ = second.leak()
    }

    /// Makes the table in force another one. The workers go on reading the one before until they get `snapshot`; then
    /// `catchUp` is due.
    ///
    /// - Throws: `EngineError` if the patch is none of this table. Nothing has changed then.
    mutating func follow(_ patch: UnsafeRawBufferPointer) throws(EngineError) {
        guard var other = spare else {
            throw EngineError("take the table", because: "an earlier change was not taken")
        }
        if !isTouched { touch(other.base) }
        isTouched = true
        do throws(SnapshotError) { try other.image.apply(patch) } catch {
            throw EngineError("take the table", because: "\(error)")
        }
        (spare, spareBase) = ((base, inForce), base)
        (base, inForce) = (other.base, other.image)
    }

    /// Brings the image that was in force up to date. Nothing reads it any more.
    mutating func catchUp(_ patch: UnsafeRawBufferPointer) {
        guard var other = spare else { return }
        do throws(SnapshotError) { try other.image.apply(patch) } catch { return spare = nil }
        spare = other
    }

    /// Gives up the other image.
    mutating func loseSpare() { spare = nil }

    /// Unmaps both.
    func unmap() {
        SharedMapping.unmap(base, size: size)
        SharedMapping.unmap(spareBase, size: size)
    }

    /// Reads every page, so that no worker has to wait for one.
    private func touch(_ base: UnsafeMutableRawPointer) {
        var sum: UInt8 = 0
        for offset in stride(from: 0, to: size, by: CounterLayout.pageSize) {
            sum &+= base.load(fromByteOffset: offset, as: UInt8.self)
            if offset & 0xFF_FFFF == 0 { SharedMapping.rest() }
        }
        withExtendedLifetime(sum) {}
    }
}
