import Testing

/// One topology and its page for all tests of a suite, because each of them takes seconds to come up.
struct SharedPage: SuiteTrait, TestScoping {
    @TaskLocal private static var current: PortalLab?

    /// The topology without its name.
    var text = PortalLab.usual
    /// Options of `tapline serve`.
    var options: [String] = []

    func provideScope(
        for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void
    ) async throws {
        let lab = try PortalLab(text)
        try lab.up()
        try lab.serve(options)
        try lab.seen()
        try await Self.$current.withValue(lab) { try await body() }
    }

    /// The topology and the page of the suite.
    static var lab: PortalLab { get throws { try #require(current, "the suite has no SharedPage") } }
}
