extension String {
    /// True if the text is written like the path of a topology file, and not like a topology's name.
    var looksLikeTopologyFile: Bool { contains("/") || hasSuffix(".yaml") || hasSuffix(".yml") }
}
