// Big-endian integers and addresses at octet offsets: the only file of this room that reads without a bounds check.

extension RawSpan {
    /// The octet at `offset`. The caller has checked that it is there; a debug build checks again.
    @inlinable @inline(__always)
    func uncheckedUInt8(at offset: Int) -> UInt8 {
        assert(offset >= 0 && offset < byteCount)
        return unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt8.self)
    }

    /// The big-endian 16-bit integer at `offset`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func uncheckedUInt16(at offset: Int) -> UInt16 {
        assert(offset >= 0 && offset + 2 <= byteCount)
        return UInt16(bigEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt16.self))
    }

    /// The big-endian 32-bit integer at `offset`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func uncheckedUInt32(at offset: Int) -> UInt32 {
        assert(offset >= 0 && offset + 4 <= byteCount)
        return UInt32(bigEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self))
    }

    /// The big-endian 64-bit integer at `offset`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func uncheckedUInt64(at offset: Int) -> UInt64 {
        assert(offset >= 0 && offset + 8 <= byteCount)
        return UInt64(bigEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self))
    }

    /// The six octets at `offset`. The caller has checked that they are there.
    @inlinable @inline(__always)
    func uncheckedMAC(at offset: Int) -> MACAddress {
        MACAddress(bits: UInt64(uncheckedUInt32(at: offset)) << 16 | UInt64(uncheckedUInt16(at: offset &+ 4)))
    }

    /// The four octets at `offset`. The caller has checked that they are there.
    @inlinable @inline(__always)
    func uncheckedIPv4(at offset: Int) -> IPAddress {
        IPAddress(ipv4: uncheckedUInt32(at: offset))
    }

    /// The sixteen octets at `offset`. The caller has checked that they are there.
    @inlinable @inline(__always)
    func uncheckedIPv6(at offset: Int) -> IPAddress {
        IPAddress(ipv6High: uncheckedUInt64(at: offset), low: uncheckedUInt64(at: offset &+ 8))
    }

    /// The big-endian 16-bit integer at `offset`, which must be in bounds (checked).
    @inlinable @inline(__always)
    public func uint16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
}

extension MutableRawSpan {
    /// The big-endian 16-bit integer at `offset`, which must be in bounds (checked).
    @inlinable @inline(__always)
    public func uint16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// Stores an octet at `offset`, which must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store(_ value: UInt8, at offset: Int) {
        storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    /// Stores a big-endian 16-bit integer at `offset`, which must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store(_ value: UInt16, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    /// Stores a big-endian 32-bit integer at `offset`, which must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store(_ value: UInt32, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// Stores a big-endian 64-bit integer at `offset`, which must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store(_ value: UInt64, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }

    /// Stores the six octets of a MAC address at `offset`, which must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store(_ value: MACAddress, at offset: Int) {
        store(UInt32(truncatingIfNeeded: value.bits >> 16), at: offset)
        store(UInt16(truncatingIfNeeded: value.bits), at: offset &+ 4)
    }

    /// Stores the four or sixteen octets of a network address at `offset`, which must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store(_ value: IPAddress, at offset: Int) {
        switch value.family {
        case .ipv4:
            store(value.ipv4Bits, at: offset)
        case .ipv6:
            store(value.high, at: offset)
            store(value.low, at: offset &+ 8)
        }
    }

    /// Copies the octets `range` of `source` to `offset`; both must be in bounds (checked).
    @_lifetime(self: copy self)
    mutating func copy(_ source: RawSpan, _ range: Range<Int>, to offset: Int) {
        precondition(range.lowerBound >= 0 && range.upperBound <= source.byteCount)
        precondition(offset >= 0 && offset + range.count <= byteCount)
        withUnsafeMutableBytes { target in
            source.withUnsafeBytes { bytes in
                guard let to = target.baseAddress, let from = bytes.baseAddress, !range.isEmpty else { return }
                (to + offset).copyMemory(from: from + range.lowerBound, byteCount: range.count)
            }
        }
    }
}

// The same of frames by their address, where a length was checked for many of them at once.

extension UnsafeRawPointer {
    /// The octet at `offset`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func octet(_ offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }

    /// The big-endian 16-bit integer at `offset`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func big16(_ offset: Int) -> UInt16 { UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }

    /// The big-endian 32-bit integer at `offset`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func big32(_ offset: Int) -> UInt32 { UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }

    /// The big-endian 64-bit integer at `offset`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func big64(_ offset: Int) -> UInt64 { UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }

    /// Two, four or eight octets at `offset` in the machine's order: for comparing. The caller has checked that they
    /// are there.
    @inlinable @inline(__always)
    func raw<Word: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _: Word.Type = Word.self) -> Word {
        loadUnaligned(fromByteOffset: offset, as: Word.self)
    }
}

extension UnsafeMutableRawPointer {
    /// Stores a big-endian integer at `offset`. The caller has checked that it fits.
    @inlinable @inline(__always)
    func storeBig<Word: FixedWidthInteger & BitwiseCopyable>(_ value: Word, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: Word.self)
    }

    /// Stores the six octets of a MAC address at `offset`. The caller has checked that they fit.
    @inlinable @inline(__always)
    func storeMAC(_ value: MACAddress, _ offset: Int) {
        storeBig(UInt32(truncatingIfNeeded: value.bits >> 16), offset)
        storeBig(UInt16(truncatingIfNeeded: value.bits), offset &+ 4)
    }
}
