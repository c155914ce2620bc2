import ControlAPI
import Engine
import PacketFilters
import Reporting
import Wire

extension CaptureRequest {
    /// Has engines match frames by a filter in the language of pcap-filter.
    ///
    /// - Parameters:
    ///   - expression: nil or empty: every frame matches.
    ///   - link: The frames that it is for.
    /// - Throws: `ApplianceError` with libpcap's message and the place if it does not compile.
    package mutating func match(_ expression: String?, _ link: FilteredLink = .ethernet) throws(ApplianceError) {
        guard let expression, !expression.allSatisfy(\.isWhitespace) else { return }
        let compiled: PacketFilter
        do throws(PacketFilterError) { compiled = try PacketFilter(expression, link) } catch { throw error.sentence }
        var octets: [UInt8] = []
        for instruction in compiled.instructions {
            withUnsafeBytes(of: instruction.code) { octets.append(contentsOf: $0) }
            octets += [instruction.jumpTrue, instruction.jumpFalse]
            withUnsafeBytes(of: instruction.k) { octets.append(contentsOf: $0) }
        }
        take(program: octets)
    }
}

/// A person's filter, run here over captured frames.
struct FrameMatch {
    private let program: ClassicBPFProgram

    /// - Parameter expression: In the language of pcap-filter.
    /// - Returns: nil for none, or a blank one.
    /// - Throws: `ApplianceError` with libpcap's message and the place if it does not compile.
    init?(_ expression: String?) throws(ApplianceError) {
        guard let expression, !expression.allSatisfy(\.isWhitespace) else { return nil }
        do throws(PacketFilterError) {
            let instructions = try PacketFilter(expression).instructions.map {
                ClassicBPFInstruction(code: $0.code, jumpTrue: $0.jumpTrue, jumpFalse: $0.jumpFalse, k: $0.k)
            }
            guard let program = try? ClassicBPFProgram(instructions) else { return nil }
            self.program = program
        } catch { throw error.sentence }
    }

    /// True if the frame behind the `virtio_net_hdr` matches.
    func matches(_ frame: CapturedFrame) -> Bool {
        frame.octets.withUnsafeBytes { octets in
            guard octets.count > VirtioNetHeader.length, let start = octets.baseAddress else { return false }
            return program.matches(
                header: start + VirtioNetHeader.length, headerLength: octets.count - VirtioNetHeader.length,
                body: start, bodyLength: 0)
        }
    }
}
