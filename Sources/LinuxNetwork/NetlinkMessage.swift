import CNetlink

/// One request to the kernel, built in a libnl message: a header, a family header and attributes.
struct NetlinkMessage: ~Copyable {
    let pointer: OpaquePointer

    /// - Parameters:
    ///   - type: RTM_NEWLINK and the like.
    ///   - flags: NLM_F_CREATE and the like; NLM_F_REQUEST is added.
    init(_ type: Int, flags: Int32 = 0) throws(SystemError) {
        guard let pointer = nlmsg_alloc_simple(Int32(type), flags | NLM_F_REQUEST) else {
            throw SystemError("make a netlink message", "", errno: ENOMEM)
        }
        self.pointer = pointer
    }

    deinit {
        nlmsg_free(pointer)
    }

    /// The family header: ifinfomsg, ifaddrmsg, rtmsg or ndmsg.
    borrowing func header<Header: BitwiseCopyable>(_ header: Header) {
        withUnsafeBytes(of: header) { bytes in
            _ = nlmsg_append(pointer, UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count, 4)
        }
    }

    /// An attribute with an integer in host order.
    borrowing func put<Value: FixedWidthInteger>(_ attribute: Int, _ value: Value) {
        withUnsafeBytes(of: value) { _ = nla_put(pointer, Int32(attribute), Int32($0.count), $0.baseAddress) }
    }

    /// An attribute with octets.
    borrowing func put(_ attribute: Int, octets: [UInt8]) {
        octets.withUnsafeBytes { _ = nla_put(pointer, Int32(attribute), Int32($0.count), $0.baseAddress) }
    }

    /// An attribute with a zero-terminated string.
    borrowing func put(_ attribute: Int, _ text: String) {
        _ = nla_put_string(pointer, Int32(attribute), text)
    }

    /// An attribute that holds attributes.
    borrowing func nest(_ attribute: Int, flags: Int32 = 0, _ body: () throws(SystemError) -> Void) throws(SystemError)
    {
        let nest = nla_nest_start(pointer, Int32(attribute) | flags)
        try body()
        guard let nest else { return }
        _ = nla_nest_end(pointer, nest)
    }
}

/// A reply's attributes, read where they lie.
struct NetlinkReply {
    let header: UnsafeMutablePointer<nlmsghdr>

    var type: Int { Int(header.pointee.nlmsg_type) }

    /// The family header, where the message is long enough for one.
    func familyHeader<Header: BitwiseCopyable>(_ type: Header.Type) -> Header? {
        guard nlmsg_valid_hdr(header, Int32(MemoryLayout<Header>.size)) != 0 else { return nil }
        return nlmsg_data(header).loadUnaligned(as: Header.self)
    }

    /// Calls `body` with each attribute's type and payload.
    func forEachAttribute<Header>(after type: Header.Type, _ body: (Int, UnsafeRawBufferPointer) -> Void) {
        let size = Int32(MemoryLayout<Header>.size)
        Self.forEach(
            first: nlmsg_attrdata(header, size), length: nlmsg_attrlen(header, size), body)
    }

    /// Calls `body` with each attribute inside an attribute's payload.
    static func forEachAttribute(in payload: UnsafeRawBufferPointer, _ body: (Int, UnsafeRawBufferPointer) -> Void) {
        guard let base = payload.baseAddress else { return }
        forEach(
            first: UnsafeMutableRawPointer(mutating: base).assumingMemoryBound(to: nlattr.self),
            length: Int32(payload.count), body)
    }

    private static func forEach(
        first: UnsafeMutablePointer<nlattr>?, length: Int32, _ body: (Int, UnsafeRawBufferPointer) -> Void
    ) {
        guard var attribute = first else { return }
        var left = length
        while nla_ok(attribute, left) != 0 {
            let payload = UnsafeRawBufferPointer(start: nla_data(attribute), count: Int(nla_len(attribute)))
            body(Int(nla_type(attribute)), payload)
            guard let next = nla_next(attribute, &left) else { return }
            attribute = next
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The payload as an integer in host order; zero where it is too short.
    func integer<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) -> Value {
        count >= MemoryLayout<Value>.size ? loadUnaligned(as: Value.self) : 0
    }

    /// The payload as text, up to its first zero.
    var text: String {
        String(decoding: prefix { $0 != 0 }, as: UTF8.self)
    }
}
