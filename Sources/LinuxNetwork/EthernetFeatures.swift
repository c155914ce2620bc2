import CLinux

/// The work that a device leaves to the next one (SIOCETHTOOL).
extension NetlinkSocket {
    /// Switches off transmit checksumming, scatter-gather and every kind of segmentation (TSO, GSO, USO) of a device.
    ///
    /// On a veth, the kernel then segments and completes the checksums of frames before they cross it. Both ends need
    /// it: each governs the frames that leave by it.
    ///
    /// - Throws: The kernel's refusal; ENODEV if there is no such device.
    public func disableTransmitOffloads(of name: String) throws(SystemError) {
        try SystemError.check(
            clinux_transmit_offloads_off(descriptor, name), "switch off the offloads of", name)
    }

    /// Whether a device's feature is on.
    ///
    /// - Parameter feature: As `ethtool -k` knows it: "tx-checksum-ip-generic".
    /// - Throws: The kernel's refusal; ENODEV if there is no such device.
    public func isFeatureActive(_ feature: String, of name: String) throws(SystemError) -> Bool {
        var active: Int32 = 0
        try SystemError.check(
            clinux_feature_is_active(descriptor, name, feature, &active), "look up the feature \(feature) of", name)
        return active != 0
    }
}
