import Wire

extension DropReason {
    /// Why a frame is dropped whose outer headers cannot be read.
    public init(_ fault: EncapsulationFault) {
        self =
            switch fault {
            case .truncatedTag: .truncatedTag
            case .reservedVLAN: .reservedVLAN
            case .tooManyTags: .tooManyTags
            case .truncatedLabelStack: .truncatedLabelStack
            case .labelStackTooDeep: .labelStackTooDeep
            case .reservedLabel: .reservedLabel
            case .labelExpired: .labelExpired
            case .notAPacket: .notAPacket
            case .truncatedControlWord: .truncatedControlWord
            case .badControlWord: .badControlWord
            case .truncatedPseudoWire: .truncatedPseudoWire
            case .truncatedFrameRelay: .truncatedFrameRelay
            case .badFrameRelayAddress: .badFrameRelayAddress
            case .badFrameRelayProtocol: .badFrameRelayProtocol
            case .truncatedLLC: .truncatedLLC
            case .badLLC: .badLLC
            }
    }
}

extension DropReason {
    /// Why a frame is dropped whose tunnel's headers cannot be read.
    public init(_ fault: TunnelFault) {
        self =
            switch fault {
            case .truncated: .truncatedTunnel
            case .badHeader: .badTunnelHeader
            case .badChecksum: .badTunnelChecksum
            case .fragment: .tunnelFragment
            case .pathEnded: .servicePathEnded
            }
    }
}
