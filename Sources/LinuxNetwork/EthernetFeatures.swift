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

    /// The features of a device that are wanted on, and that may be changed, in the kernel's order.
    ///
    /// - Throws: The kernel's refusal; ENODEV if there is no such device.
    public func changeableFeatures(of name: String) throws(SystemError) -> [String] {
        var text = [CChar](repeating: 0, count: 16384)
        let length = try SystemError.check(
            clinux_changeable_features(descriptor, name, &text, text.count), "look up the features of", name)
        let octets = text.prefix(Int(length)).map { UInt8(bitPattern: $0) }
        return String(decoding: octets, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Switches features of a device on or off. Those that it does not have are left out.
    ///
    /// - Throws: The kernel's refusal; ENODEV if there is no such device.
    public func setFeatures(_ features: [String], of name: String, on: Bool) throws(SystemError) {
        guard !features.isEmpty else { return }
        let text = features.map { $0 + "\n" }.joined()
        try SystemError.check(
            clinux_set_features(descriptor, name, text, on ? 1 : 0),
            "switch \(on ? "on" : "off") the features \(features.joined(separator: ", ")) of", name)
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
