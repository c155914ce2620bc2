extension StatusReport {
    /// A group that nodes join and leave.
    public struct Group: Codable, Sendable, Hashable {
        /// Its address.
        public var address: String
        /// The interface that the nodes are on.
        public var interface: String
        /// The nodes that are in it, as they have reported.
        public var joined: [String]
        /// The nodes that may join it, and are not in it.
        public var absent: [String]

        /// Memberwise.
        package init(address: String, interface: String, joined: [String], absent: [String]) {
            self.address = address
            self.interface = interface
            self.joined = joined
            self.absent = absent
        }
    }
}
