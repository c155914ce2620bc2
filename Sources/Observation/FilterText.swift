import ControlAPI
import PacketFilters
import Reporting

extension CaptureRequest {
    /// Has engines match frames by a filter in the language of pcap-filter.
    ///
    /// - Parameter expression: nil or empty: every frame matches.
    /// - Throws: `ApplianceError` with libpcap's message and the place if it does not compile.
    package mutating func match(_ expression: String?) throws(ApplianceError) {
        guard let expression, !expression.allSatisfy(\.isWhitespace) else { return }
        let compiled: PacketFilter
        do throws(PacketFilterError) { compiled = try PacketFilter(expression) } catch { throw error.sentence }
        var octets: [UInt8] = []
        for instruction in compiled.instructions {
            withUnsafeBytes(of: instruction.code) { octets.append(contentsOf: $0) }
            octets += [instruction.jumpTrue, instruction.jumpFalse]
            withUnsafeBytes(of: instruction.k) { octets.append(contentsOf: $0) }
        }
        self = CaptureRequest(
            interfaces: interfaces, sent: sent, received: received, oneIn: oneIn, snapLength: snapLength,
            filter: octets)
    }
}
