import TopologyFiles

extension FileSettings {
    /// The words that give a command the same values.
    public var words: [String] {
        values.sorted { $0.key < $1.key }.flatMap { ["--set", "\($0.key)=\($0.value)"] }
    }
}
