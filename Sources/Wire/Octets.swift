// Integers and addresses in the fields of headers: the only file of this room that reads without a bounds check.

extension RawSpan {
    /// The integer in a field of the header at `header`. The caller has checked that it is there; a debug build checks
    /// again.
    @inlinable @inline(__always)
    func unchecked<Value: FixedWidthInteger & BitwiseCopyable>(
        _ field: HeaderField<Value>, at header: Int
    ) -> Value {
        let offset = header &+ field.offset
        assert(offset >= 0 && offset + MemoryLayout<Value>.size <= byteCount)
        return Value(bigEndian: unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: Value.self))
    }

    /// The MAC address in a field of the header at `header`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func unchecked(_ field: HeaderField<MACAddress>, at header: Int) -> MACAddress {
        let high = unchecked(HeaderField<UInt32>(field.offset), at: header)
        let low = unchecked(HeaderField<UInt16>(field.offset &+ 4), at: header)
        return MACAddress(bits: UInt64(high) << 16 | UInt64(low))
    }

    /// The IPv6 address in a field of the header at `header`. The caller has checked that it is there.
    @inlinable @inline(__always)
    func unchecked(_ field: HeaderField<IPAddress>, at header: Int) -> IPAddress {
        IPAddress(ipv6High: unchecked(field.high, at: header), low: unchecked(field.low, at: header))
    }

    /// The integer in a field of the header at `header`. The field must be in bounds (checked).
    @inlinable @inline(__always)
    public func load<Value: FixedWidthInteger & BitwiseCopyable>(
        _ field: HeaderField<Value>, at header: Int
    ) -> Value {
        Value(bigEndian: unsafeLoadUnaligned(fromByteOffset: header &+ field.offset, as: Value.self))
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

    /// Stores an integer in a field of the header at `header`. The field must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store<Value: FixedWidthInteger & BitwiseCopyable>(
        _ value: Value, to field: HeaderField<Value>, at header: Int
    ) {
        storeBytes(of: value.bigEndian, toByteOffset: header &+ field.offset, as: Value.self)
    }

    /// Stores a MAC address in a field of the header at `header`. The field must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store(_ value: MACAddress, to field: HeaderField<MACAddress>, at header: Int) {
        store(value, at: header &+ field.offset)
    }

    /// Stores an IPv6 address in a field of the header at `header`. The field must be in bounds (checked).
    @inlinable @inline(__always)
    @_lifetime(self: copy self)
    public mutating func store(_ value: IPAddress, to field: HeaderField<IPAddress>, at header: Int) {
        store(value, at: header &+ field.offset)
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

// The same of headers by their address, where a length was checked for many of them at once.

extension UnsafeRawPointer {
    /// The big-endian integer in a field of the header that begins here. The caller has checked that it is there.
    @inlinable @inline(__always)
    func big<Value: FixedWidthInteger & BitwiseCopyable>(_ field: HeaderField<Value>) -> Value {
        Value(bigEndian: loadUnaligned(fromByteOffset: field.offset, as: Value.self))
    }

    /// The same in the machine's order: for comparing, and for what is in that order (`VirtioNetHeader`).
    @inlinable @inline(__always)
    func raw<Value: FixedWidthInteger & BitwiseCopyable>(_ field: HeaderField<Value>) -> Value {
        loadUnaligned(fromByteOffset: field.offset, as: Value.self)
    }

    /// One to eight octets at `offset` in the machine's order: for comparing and for sums. The caller has checked that
    /// they are there.
    @inlinable @inline(__always)
    func raw<Word: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _: Word.Type = Word.self) -> Word {
        loadUnaligned(fromByteOffset: offset, as: Word.self)
    }
}

extension UnsafeMutableRawPointer {
    /// Stores a big-endian integer in a field of the header that begins here. The caller has checked that it fits.
    @inlinable @inline(__always)
    func storeBig<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, to field: HeaderField<Value>) {
        storeBytes(of: value.bigEndian, toByteOffset: field.offset, as: Value.self)
    }

    /// The same in the machine's order.
    @inlinable @inline(__always)
    func storeRaw<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, to field: HeaderField<Value>) {
        storeBytes(of: value, toByteOffset: field.offset, as: Value.self)
    }
}
