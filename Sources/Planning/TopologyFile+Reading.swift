import TopologyFiles

extension TopologyFile {
    /// Reads the file at `path`.
    ///
    /// - Parameter settings: Values for its variables, in place of its own.
    /// - Throws: `TopologyError` with every mistake in it. If it cannot be read, the mistake is at line 1.
    public static func read(
        _ path: String, settings: FileSettings = FileSettings()
    ) throws(TopologyError) -> TopologyFile {
        try parse(text(of: path), path: path, settings: settings)
    }

    /// Reads a text as the file at `path`.
    ///
    /// - Throws: `TopologyError` with every mistake in it, including mistakes that the planner would find.
    public static func parse(
        _ text: String, path: String, settings: FileSettings = FileSettings()
    ) throws(TopologyError) -> TopologyFile {
        let (read, diagnostics) = reading(text, path: path, settings: settings)
        if !diagnostics.isEmpty, let read {
            // The names in the readable part are checked too, so that one pass reports everything.
            TopologyResolver.resolve(read, diagnostics)
        }
        try diagnostics.throwIfAny()
        guard var file = read else { throw TopologyError(problems: []) }
        file.remarks = diagnostics.remarks
        return file
    }
}
