import CLinux
import CNetlink

/// Changes of the packet filter (nf_tables), which the kernel carries out together or not at all.
///
/// The messages are those of linux/netfilter/nf_tables.h: attributes of nested attributes, with integers in network
/// order. Registers hold 16 octets; the expressions here use the first one alone.
struct NetfilterBatch {
    private var octets: [UInt8] = []
    private var sequence: UInt32 = 0
    /// Where the last message begins in `octets`.
    private var lastMessage = 0
    private let family: UInt8

    /// An empty batch.
    ///
    /// - Parameter family: NFPROTO_BRIDGE and the like.
    init(family: UInt8) {
        self.family = family
        message(UInt16(NFNL_MSG_BATCH_BEGIN), flags: 0, family: 0, resource: UInt16(NFNL_SUBSYS_NFTABLES)) { _ in }
    }

    /// Adds one change.
    ///
    /// - Parameters:
    ///   - type: NFT_MSG_NEWTABLE and the like.
    ///   - flags: NLM_F_CREATE and the like.
    ///   - body: Writes the attributes.
    mutating func add(_ type: nf_tables_msg_types, flags: Int32 = 0, _ body: (inout Attributes) -> Void) {
        let number = UInt16(NFNL_SUBSYS_NFTABLES) << 8 | UInt16(type.rawValue)
        message(number, flags: UInt16(flags), family: family, resource: 0, body)
    }

    private mutating func message(
        _ type: UInt16, flags: UInt16, family: UInt8, resource: UInt16, _ body: (inout Attributes) -> Void
    ) {
        var attributes = Attributes()
        body(&attributes)
        sequence += 1
        lastMessage = octets.count
        let length = UInt32(MemoryLayout<nlmsghdr>.size + MemoryLayout<nfgenmsg>.size + attributes.octets.count)
        let header = nlmsghdr(
            nlmsg_len: length, nlmsg_type: type, nlmsg_flags: flags | UInt16(NLM_F_REQUEST), nlmsg_seq: sequence,
            nlmsg_pid: 0)
        withUnsafeBytes(of: header) { octets += $0 }
        octets += [family, UInt8(NFNETLINK_V0), UInt8(resource >> 8), UInt8(resource & 0xFF)]
        octets += attributes.octets
    }

    /// Sends the batch in the calling thread's network namespace, and waits until all of it is carried out.
    ///
    /// - Throws: The kernel's refusal of the first change that it does not take. Nothing has changed then.
    consuming func commit(_ operation: String, _ object: String) throws(SystemError) {
        let last = sequence
        // Refusals are answered in any case. An answer to each change would overrun the socket in a long batch.
        let flags = lastMessage + MemoryLayout<nlmsghdr>.offset(of: \.nlmsg_flags)!
        octets.withUnsafeMutableBytes {
            let asked = $0.loadUnaligned(fromByteOffset: flags, as: UInt16.self) | UInt16(NLM_F_ACK)
            $0.storeBytes(of: asked, toByteOffset: flags, as: UInt16.self)
        }
        message(UInt16(NFNL_MSG_BATCH_END), flags: 0, family: 0, resource: UInt16(NFNL_SUBSYS_NFTABLES)) { _ in }
        let socket = OwnedDescriptor(
            owning: try SystemError.checkErrno(
                CLinux.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), NETLINK_NETFILTER),
                operation, object))
        // The kernel takes a batch only if the socket may send that much at once. It lets the host's root have any size.
        var room = Int32(clamping: octets.count + 4_096)
        let size = socklen_t(MemoryLayout<Int32>.size)
        if setsockopt(socket.number, SOL_SOCKET, SO_SNDBUFFORCE, &room, size) != 0 {
            _ = setsockopt(socket.number, SOL_SOCKET, SO_SNDBUF, &room, size)
        }
        var sent: Int
        repeat { sent = send(socket.number, octets, octets.count, 0) } while sent < 0 && currentErrno() == EINTR
        guard sent == octets.count else { throw SystemError(operation, object, errno: currentErrno()) }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(socket.number, &buffer, buffer.count, 0)
            guard count >= 0 else {
                if currentErrno() == EINTR { continue }
                throw SystemError(operation, object, errno: currentErrno())
            }
            var rest = buffer[..<count]
            // nlmsghdr: length, type, flags, sequence, port; then nlmsgerr: the negative error number.
            while rest.count >= 20 {
                let (length, type, number, error) = rest.withUnsafeBytes {
                    (
                        Int($0.loadUnaligned(as: UInt32.self)), $0.loadUnaligned(fromByteOffset: 4, as: UInt16.self),
                        $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self),
                        $0.loadUnaligned(fromByteOffset: 16, as: Int32.self)
                    )
                }
                guard length >= 20 else { throw SystemError(operation, object, errno: EPROTO) }
                if type == UInt16(NLMSG_ERROR) {
                    if error != 0 { throw SystemError(operation, object, errno: error) }
                    if number == last { return }
                }
                rest = rest.dropFirst((length + 3) & ~3)
            }
        }
    }

    /// Netlink attributes, one behind the other.
    struct Attributes {
        fileprivate(set) var octets: [UInt8] = []

        /// Octets as they are.
        mutating func put(_ type: UInt32, _ value: some Collection<UInt8>) {
            head(type, value.count)
            octets += value
            while octets.count % 4 != 0 { octets.append(0) }
        }

        /// Text that ends in a zero.
        mutating func put(_ type: UInt32, _ text: String) { put(type, Array(text.utf8) + [0]) }

        /// An integer in network order.
        mutating func put(_ type: UInt32, _ value: UInt32) {
            put(type, withUnsafeBytes(of: value.bigEndian, Array.init))
        }

        /// Attributes in an attribute.
        mutating func nest(_ type: UInt32, _ body: (inout Attributes) -> Void) {
            var inner = Attributes()
            body(&inner)
            put(type | UInt32(NLA_F_NESTED), inner.octets)
        }

        private mutating func head(_ type: UInt32, _ count: Int) {
            for half in [UInt16(count + 4), UInt16(type)] { withUnsafeBytes(of: half) { octets += $0 } }
        }
    }
}

/// The expressions of one rule, in their order. All of them use one register.
struct NetfilterRule {
    private(set) var attributes = NetfilterBatch.Attributes()
    private static let register = NFT_REG_1.rawValue

    /// The part of a packet that an offset counts from.
    enum Base: UInt32 {
        /// The Ethernet header.
        case link = 0
        /// The IP header.
        case network = 1
    }

    /// The packet's EtherType must be this one.
    mutating func matchProtocol(_ etherType: UInt16) {
        expression("meta") {
            $0.put(NFTA_META_DREG.rawValue, Self.register)
            $0.put(NFTA_META_KEY.rawValue, NFT_META_PROTOCOL.rawValue)
        }
        compare([UInt8(etherType >> 8), UInt8(etherType & 0xFF)])
    }

    /// The frame must come from the port of this name, or leave by it.
    mutating func matchPort(_ name: String, leaving: Bool) {
        expression("meta") {
            $0.put(NFTA_META_DREG.rawValue, Self.register)
            $0.put(NFTA_META_KEY.rawValue, (leaving ? NFT_META_OIFNAME : NFT_META_IIFNAME).rawValue)
        }
        // The kernel compares all 16 octets of a device's name.
        compare(Array((Array(name.utf8) + [UInt8](repeating: 0, count: 16)).prefix(16)))
    }

    /// Octets of the packet, under a mask if there is one, must equal `octets`.
    mutating func match(_ base: Base, at offset: UInt32, _ octets: [UInt8], mask: [UInt8]? = nil) {
        load(base, at: offset, octets.count)
        if let mask { self.mask(mask) }
        compare(octets)
    }

    /// Octets become these.
    ///
    /// - Parameter checksum: The offset, in the IP packet, of an Internet checksum over the octets; nil if there is none.
    mutating func write(_ base: Base = .link, at offset: UInt32, _ octets: [UInt8], checksum: UInt32? = nil) {
        expression("immediate") {
            $0.put(NFTA_IMMEDIATE_DREG.rawValue, Self.register)
            $0.nest(NFTA_IMMEDIATE_DATA.rawValue) { $0.put(NFTA_DATA_VALUE.rawValue, octets) }
        }
        store(base, at: offset, octets.count, checksum)
    }

    /// Octets of the Ethernet header become those of the IP header, under a mask.
    mutating func copy(from offset: UInt32, to place: UInt32, mask: [UInt8]) {
        load(.network, at: offset, mask.count)
        self.mask(mask)
        store(.link, at: place, mask.count, nil)
    }

    private mutating func load(_ base: Base, at offset: UInt32, _ count: Int) {
        expression("payload") {
            $0.put(NFTA_PAYLOAD_DREG.rawValue, Self.register)
            $0.put(NFTA_PAYLOAD_BASE.rawValue, base.rawValue)
            $0.put(NFTA_PAYLOAD_OFFSET.rawValue, offset)
            $0.put(NFTA_PAYLOAD_LEN.rawValue, UInt32(count))
        }
    }

    private mutating func store(_ base: Base, at offset: UInt32, _ count: Int, _ checksum: UInt32?) {
        expression("payload") {
            $0.put(NFTA_PAYLOAD_SREG.rawValue, Self.register)
            $0.put(NFTA_PAYLOAD_BASE.rawValue, base.rawValue)
            $0.put(NFTA_PAYLOAD_OFFSET.rawValue, offset)
            $0.put(NFTA_PAYLOAD_LEN.rawValue, UInt32(count))
            $0.put(
                NFTA_PAYLOAD_CSUM_TYPE.rawValue,
                (checksum == nil ? NFT_PAYLOAD_CSUM_NONE : NFT_PAYLOAD_CSUM_INET).rawValue)
            $0.put(NFTA_PAYLOAD_CSUM_OFFSET.rawValue, checksum ?? 0)
        }
    }

    private mutating func mask(_ mask: [UInt8]) {
        expression("bitwise") {
            $0.put(NFTA_BITWISE_SREG.rawValue, Self.register)
            $0.put(NFTA_BITWISE_DREG.rawValue, Self.register)
            $0.put(NFTA_BITWISE_LEN.rawValue, UInt32(mask.count))
            $0.nest(NFTA_BITWISE_MASK.rawValue) { $0.put(NFTA_DATA_VALUE.rawValue, mask) }
            let none = [UInt8](repeating: 0, count: mask.count)
            $0.nest(NFTA_BITWISE_XOR.rawValue) { $0.put(NFTA_DATA_VALUE.rawValue, none) }
        }
    }

    private mutating func compare(_ octets: [UInt8]) {
        expression("cmp") {
            $0.put(NFTA_CMP_SREG.rawValue, Self.register)
            $0.put(NFTA_CMP_OP.rawValue, NFT_CMP_EQ.rawValue)
            $0.nest(NFTA_CMP_DATA.rawValue) { $0.put(NFTA_DATA_VALUE.rawValue, octets) }
        }
    }

    private mutating func expression(_ name: String, _ body: (inout NetfilterBatch.Attributes) -> Void) {
        attributes.nest(NFTA_LIST_ELEM.rawValue) {
            $0.put(NFTA_EXPR_NAME.rawValue, name)
            $0.nest(NFTA_EXPR_DATA.rawValue, body)
        }
    }
}
