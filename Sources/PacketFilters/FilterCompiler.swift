import CPcap
import Synchronization

/// libpcap's compiler. Before its release 1.8 the compiler had one state for all threads, so one call is made at a time.
enum FilterCompiler {
    /// What became of an expression.
    enum Outcome {
        case compiled([PacketFilter.Instruction])
        /// libpcap's words.
        case refused(String)
    }

    private static let turn = Mutex(())

    /// The program for Ethernet frames of any length.
    static func compile(_ expression: String) -> Outcome {
        turn.withLock { _ in
            guard let device = pcap_open_dead(DLT_EN10MB, 262_144) else { return .refused("libpcap has no memory") }
            defer { pcap_close(device) }
            var program = bpf_program()
            guard pcap_compile(device, &program, expression, 1, PCAP_NETMASK_UNKNOWN) == 0 else {
                return .refused(String(cString: pcap_geterr(device)))
            }
            defer { pcap_freecode(&program) }
            let instructions = UnsafeBufferPointer(start: program.bf_insns, count: Int(program.bf_len)).map {
                PacketFilter.Instruction(code: $0.code, jumpTrue: $0.jt, jumpFalse: $0.jf, k: $0.k)
            }
            return .compiled(instructions)
        }
    }
}
