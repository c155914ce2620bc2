/// A field of a header: its place in the header, and the type of its value.
///
/// The place of a field in a frame is the sum of two offsets: the header's and the field's. Only the code that found
/// the header knows the first one. So a tag or a stack of labels before a header changes no field.
///
/// Integers are big-endian. `MACAddress` stands for six octets, `IPAddress` for the sixteen octets of an IPv6 address.
public struct HeaderField<Value>: Sendable {
    /// Octets from the first octet of the header.
    public let offset: Int

    /// - Parameter offset: Octets from the first octet of the header.
    @inlinable @inline(__always)
    public init(_ offset: Int) { self.offset = offset }
}

extension HeaderField<IPAddress> {
    /// Bits 127…64 of the address.
    @inlinable @inline(__always)
    var high: HeaderField<UInt64> { HeaderField<UInt64>(offset) }
    /// Bits 63…0 of the address.
    @inlinable @inline(__always)
    var low: HeaderField<UInt64> { HeaderField<UInt64>(offset &+ 8) }
}

/// The fields of one kind of header. They are its static members, with the names of the RFC.
public protocol HeaderLayout {
    /// The octets of the shortest such header. All fields lie in them.
    static var minimumLength: Int { get }
}

/// The fields of a header that always has the same length.
public protocol FixedHeaderLayout: HeaderLayout {
    /// The length of the header in octets.
    static var length: Int { get }
}

extension FixedHeaderLayout {
    /// The length of the header in octets.
    @inlinable public static var minimumLength: Int { length }
}

/// A view of a header whose `minimumLength` octets are there, so that no accessor fails.
public struct HeaderView<Header: HeaderLayout>: ~Escapable {
    @usableFromInline let bytes: RawSpan
    @usableFromInline let offset: Int

    /// Nil where fewer than `minimumLength` octets follow `offset`.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan, at offset: Int = 0) {
        guard offset >= 0, offset <= bytes.byteCount &- Header.minimumLength else { return nil }
        self.bytes = bytes
        self.offset = offset
    }

    /// The octets of the shortest such header.
    @inlinable public static var minimumLength: Int { Header.minimumLength }

    /// The integer in a field of this header.
    @inlinable @inline(__always)
    subscript<Value: FixedWidthInteger & BitwiseCopyable>(_ field: HeaderField<Value>) -> Value {
        bytes.unchecked(field, at: offset)
    }

    /// The MAC address in a field of this header.
    @inlinable @inline(__always)
    subscript(_ field: HeaderField<MACAddress>) -> MACAddress { bytes.unchecked(field, at: offset) }

    /// The IPv6 address in a field of this header.
    @inlinable @inline(__always)
    subscript(_ field: HeaderField<IPAddress>) -> IPAddress { bytes.unchecked(field, at: offset) }
}

extension HeaderView where Header: FixedHeaderLayout {
    /// The length of the header in octets.
    @inlinable public static var length: Int { Header.length }
}
