/// Result codes of PCP (RFC 6887, 7.4).
package enum PCPResult: UInt8, Sendable, CaseIterable {
    case success, unsupportedVersion, notAuthorized, malformedRequest, unsupportedOpcode, unsupportedOption
    case malformedOption, networkFailure, noResources, unsupportedProtocol, quotaExceeded, cannotProvideExternal
    case addressMismatch, excessiveRemotePeers

    /// The name that the RFC gives it.
    package var name: String {
        switch self {
        case .success: "SUCCESS"
        case .unsupportedVersion: "UNSUPP_VERSION"
        case .notAuthorized: "NOT_AUTHORIZED"
        case .malformedRequest: "MALFORMED_REQUEST"
        case .unsupportedOpcode: "UNSUPP_OPCODE"
        case .unsupportedOption: "UNSUPP_OPTION"
        case .malformedOption: "MALFORMED_OPTION"
        case .networkFailure: "NETWORK_FAILURE"
        case .noResources: "NO_RESOURCES"
        case .unsupportedProtocol: "UNSUPP_PROTOCOL"
        case .quotaExceeded: "USER_EX_QUOTA"
        case .cannotProvideExternal: "CANNOT_PROVIDE_EXTERNAL"
        case .addressMismatch: "ADDRESS_MISMATCH"
        case .excessiveRemotePeers: "EXCESSIVE_REMOTE_PEERS"
        }
    }

    /// What NAT-PMP says in its place (RFC 6886, 3.5).
    var natPMP: UInt16 {
        switch self {
        case .success: 0
        case .unsupportedVersion: 1
        case .networkFailure: 3
        case .noResources, .quotaExceeded, .excessiveRemotePeers: 4
        case .unsupportedOpcode: 5
        default: 2
        }
    }
}
