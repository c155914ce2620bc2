import Forwarding

/// A compiled table as engines hold it, with other groups than its own if these have changed since.
package struct TableImage: Sendable {
    /// The compiled table.
    package var table: [UInt8]
    /// Its groups; nil if it has its own.
    package var groups: [UInt8]?
    /// The number that both were published under.
    package var generation: UInt64

    /// Memberwise.
    package init(table: [UInt8], groups: [UInt8]?, generation: UInt64) {
        self.table = table
        self.groups = groups
        self.generation = generation
    }
}
