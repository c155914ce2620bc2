import Seeds
import Testing

@testable import Instructions

/// `after` has the form that the document says, for each list.
@Suite struct PagePlaceTests {
    private static let lists = Route.all.filter { $0.query.contains(.after) }

    @Test func theDocumentSaysWhatIsRead() throws {
        #expect(Self.lists.map(\.name) == [.listServices, .listAccess, .listAudit])
        var generator = SeededGenerator(seed: Seed.drawn())
        let parts = [
            "alice", "/", "web", "7", ".", "-", "_", " ", "ä", "🦊", "\n", "\r", "\u{0}", "\u{7F}", "\u{2028}",
            "/\u{301}", "e\u{301}",
            String(repeating: "a", count: 63), String(repeating: "9", count: 18), String(repeating: "é", count: 256),
        ]
        var texts = ["", "alice/shop", "alice/Wächter 1", "12", "alice/", "/shop", "a/b/c", "123456789012345678"]
        for _ in 0..<2000 {
            texts.append(
                (0..<Int.random(in: 1...4, using: &generator)).map { _ in parts.randomElement(using: &generator) ?? "" }
                    .joined())
        }
        for route in Self.lists {
            let form = try Regex(route.afterForm).matchingSemantics(.unicodeScalar)
            for text in texts {
                #expect(
                    route.isPlace(text) == (text.wholeMatch(of: form) != nil), "\(route.name) \(text.debugDescription)")
            }
        }
    }
}
