import CNetlink

/// One request to the kernel (nl_msg).
struct NetlinkMessage: ~Copyable {
    let pointer: OpaquePointer

    /// A request that libnl builds of an object.
    ///
    /// - Parameter build: Calls rtnl_…_build_…_request.
    /// - Throws: EMSGSIZE if the message cannot hold it; EINVAL if libnl refuses it; ENOMEM.
    init(_ build: (UnsafeMutablePointer<OpaquePointer?>) -> Int32) throws(NetlinkFailure) {
        var built: OpaquePointer?
        try NetlinkFailure.check(build(&built))
        pointer = try NetlinkFailure.check(allocated: built)
    }

    /// A request of a type for which libnl has no builder.
    ///
    /// - Parameters:
    ///   - type: RTM_GETADDR and the like.
    ///   - flags: NLM_F_DUMP and the like.
    /// - Throws: ENOMEM.
    init(_ type: Int, flags: Int32) throws(NetlinkFailure) {
        pointer = try NetlinkFailure.check(allocated: nlmsg_alloc_simple(Int32(type), flags))
    }

    deinit {
        nlmsg_free(pointer)
    }

    /// A request for everything of a kind.
    ///
    /// - Parameters:
    ///   - type: RTM_GETADDR and the like.
    ///   - header: The family header. The strict check wants all of it, where nl_rtgen_request sends its first octet.
    static func dump<Header: BitwiseCopyable>(
        _ type: Int, _ header: Header
    ) throws(NetlinkFailure) -> NetlinkMessage {
        let message = try NetlinkMessage(type, flags: NLM_F_DUMP)
        var header = header
        try message.append(&header, MemoryLayout<Header>.size)
        return message
    }

    /// Gives the message another type than libnl chose.
    borrowing func set(type: Int) {
        nlmsg_hdr(pointer).pointee.nlmsg_type = UInt16(type)
    }

    /// Puts octets at the end.
    borrowing func append(_ octets: UnsafeMutableRawPointer?, _ count: Int) throws(NetlinkFailure) {
        guard nlmsg_append(pointer, octets, count, Int32(NLMSG_ALIGNTO)) >= 0 else {
            throw NetlinkFailure(errno: EMSGSIZE)
        }
    }

    /// Puts an attribute with an integer in host order.
    ///
    /// - Throws: EMSGSIZE if the message is full.
    borrowing func put<Value: FixedWidthInteger & BitwiseCopyable>(
        _ attribute: Int, _ value: Value
    ) throws(NetlinkFailure) {
        let result = withUnsafeBytes(of: value) {
            nla_put(pointer, Int32(attribute), Int32($0.count), $0.baseAddress)
        }
        guard result >= 0 else { throw NetlinkFailure(errno: EMSGSIZE) }
    }

    /// Puts attributes into a nest, which becomes the last attribute of the message, or is it already: libnl's own nest
    /// then has both.
    ///
    /// - Parameters:
    ///   - attribute: The nest's type.
    ///   - flags: NLA_F_NESTED, where the kernel wants it.
    ///   - header: The size of the family header that comes before the attributes.
    /// - Throws: EMSGSIZE if the message is full; EINVAL if libnl's nest is not the last attribute.
    borrowing func nest(
        _ attribute: Int, flags: Int32 = 0, after header: Int = MemoryLayout<ifinfomsg>.size,
        _ body: () throws(NetlinkFailure) -> Void
    ) throws(NetlinkFailure) {
        let top = nlmsg_hdr(pointer)!
        let present = nlmsg_find_attr(top, Int32(header), Int32(attribute))
        if let present {
            let end = UnsafeMutableRawPointer(present) + Int(nla_total_size(nla_len(present)))
            guard end == nlmsg_tail(top) else { throw NetlinkFailure(errno: EINVAL) }
        }
        guard let nest = present ?? nla_nest_start(pointer, Int32(attribute) | flags) else {
            throw NetlinkFailure(errno: EMSGSIZE)
        }
        try body()
        try NetlinkFailure.check(nla_nest_end(pointer, nest))
    }

    /// Puts attributes into a nest within a nest.
    borrowing func innerNest(_ attribute: Int, _ body: () throws(NetlinkFailure) -> Void) throws(NetlinkFailure) {
        guard let nest = nla_nest_start(pointer, Int32(attribute)) else { throw NetlinkFailure(errno: EMSGSIZE) }
        try body()
        try NetlinkFailure.check(nla_nest_end(pointer, nest))
    }

    /// Writes over the integer of an attribute that libnl has put.
    ///
    /// - Throws: EINVAL if there is no such attribute.
    borrowing func overwrite(
        _ attribute: Int, after header: Int = MemoryLayout<ifinfomsg>.size, _ value: UInt32
    ) throws(NetlinkFailure) {
        guard let found = nlmsg_find_attr(nlmsg_hdr(pointer), Int32(header), Int32(attribute)),
            nla_len(found) == 4, let data = nla_data(found)
        else { throw NetlinkFailure(errno: EINVAL) }
        data.storeBytes(of: value, as: UInt32.self)
    }
}

/// A message of the kernel's. It is valid as long as the call that hands it over.
struct NetlinkReply {
    private let message: OpaquePointer

    init(_ message: OpaquePointer) {
        self.message = message
    }

    var header: UnsafeMutablePointer<nlmsghdr> { nlmsg_hdr(message) }

    var type: Int { Int(header.pointee.nlmsg_type) }

    /// The object that the message describes, as libnl reads it.
    ///
    /// - Throws: EPROTO or EINVAL if libnl cannot read it; ENOMEM.
    private func object() throws(NetlinkFailure) -> OpaquePointer {
        var object: OpaquePointer?
        let result = withUnsafeMutablePointer(to: &object) { place in
            nl_msg_parse(
                message,
                { object, place in
                    nl_object_get(object)
                    place!.assumingMemoryBound(to: OpaquePointer?.self).pointee = object
                }, place)
        }
        guard let object else { throw NetlinkFailure(library: result < 0 ? result : -NLE_MSGTYPE_NOSUPPORT) }
        return object
    }

    /// The link of an RTM_NEWLINK; nil for messages of other types.
    ///
    /// - Throws: EPROTO or EINVAL if libnl cannot read it; ENOMEM.
    func link() throws(NetlinkFailure) -> LinkObject? {
        type == RTM_NEWLINK ? LinkObject(owning: try object()) : nil
    }

    /// The address of an RTM_NEWADDR; nil for messages of other types.
    ///
    /// - Throws: EPROTO or EINVAL if libnl cannot read it; ENOMEM.
    func address() throws(NetlinkFailure) -> AddressObject? {
        type == RTM_NEWADDR ? AddressObject(owning: try object()) : nil
    }

    /// The route of an RTM_NEWROUTE; nil for messages of other types.
    ///
    /// - Throws: EPROTO or EINVAL if libnl cannot read it; ENOMEM.
    func route() throws(NetlinkFailure) -> RouteObject? {
        type == RTM_NEWROUTE ? RouteObject(owning: try object()) : nil
    }

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

    /// The payload of an integer of one octet that lies in nested attributes of a link; nil if it is not there.
    ///
    /// - Parameter path: The types, from the outside in.
    func octet(at path: [Int32]) -> UInt8? {
        guard
            var attribute = nlmsg_find_attr(header, Int32(MemoryLayout<ifinfomsg>.size), path[0])
        else { return nil }
        for type in path.dropFirst() {
            guard
                let inner = nla_find(
                    nla_data(attribute)?.assumingMemoryBound(to: nlattr.self), nla_len(attribute), type)
            else { return nil }
            attribute = inner
        }
        return nla_len(attribute) >= 1 ? nla_get_u8(attribute) : nil
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
