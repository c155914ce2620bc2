import CPcap
import Synchronization

/// The frames that a filter is for, by the number of their link type.
public enum FilteredLink: Int32, Sendable, Hashable, CaseIterable {
    case ethernet = 1
    case frameRelay = 107
    /// AAL5 packets behind the four octets of SunATM.
    case atm = 123

    /// What libpcap compiles for, and how many octets then stand before that. Of frame relay libpcap knows no more than which protocol
    /// follows, so filters are for the packet behind address, control and NLPID.
    fileprivate var compiled: (link: Int32, offset: UInt32) { self == .frameRelay ? (DLT_RAW, 4) : (rawValue, 0) }
}

/// libpcap's compiler. Before its release 1.8 the compiler had one state for all threads, so one call is made at a time.
enum FilterCompiler {
    /// What became of an expression.
    enum Outcome {
        case compiled([PacketFilter.Instruction])
        /// libpcap's words.
        case refused(String)
    }

    private static let turn = Mutex(())

    /// The program for frames of any length.
    static func compile(_ expression: String, _ link: FilteredLink = .ethernet) -> Outcome {
        turn.withLock { _ in
            guard let device = pcap_open_dead(link.compiled.link, 262_144) else {
                return .refused("libpcap has no memory")
            }
            defer { pcap_close(device) }
            var program = bpf_program()
            guard pcap_compile(device, &program, expression, 1, PCAP_NETMASK_UNKNOWN) == 0 else {
                return .refused(String(cString: pcap_geterr(device)))
            }
            defer { pcap_freecode(&program) }
            let instructions = UnsafeBufferPointer(start: program.bf_insns, count: Int(program.bf_len)).map {
                PacketFilter.Instruction(
                    code: $0.code, jumpTrue: $0.jt, jumpFalse: $0.jf,
                    k: readsFrame($0.code) ? $0.k &+ link.compiled.offset : $0.k)
            }
            return .compiled(instructions)
        }
    }

    /// True for loads from the frame: at a place, at a place behind X, and the length of an IPv4 header.
    private static func readsFrame(_ code: UInt16) -> Bool {
        [0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1].contains(code)
    }
}
