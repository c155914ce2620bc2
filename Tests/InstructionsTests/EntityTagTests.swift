import Testing

@testable import Instructions

@Suite struct EntityTagTests {
    @Test(arguments: [
        ("*", true, false), ("\"7\"", true, false), ("\"6\", \"7\"", true, false), ("\"6\"", false, false),
        ("W/\"7\"", false, false), ("\"\"", false, false), ("7", true, false), ("07", false, false),
    ])
    func whatIsExpectedIsCompared(_ field: String, _ matches: Bool, _ matchesNothing: Bool) throws {
        let tags = try #require(EntityTags(field))
        #expect(tags.match("\"7\"") == matches)
        #expect(tags.match(nil) == matchesNothing)
    }

    @Test func whatAnswersGiveHasTheFormOfTheDocument() throws {
        for field in ["*", "\"7\"", "7"] { #expect(field.wholeMatch(of: try Regex(EntityTags.form)) != nil) }
    }

    @Test(arguments: ["", "7, 8", "\"7", "7\"", "\"7\",", "*, \"7\"", "\"a b\"", "\"ä\"", "\""])
    func anotherFormIsRefused(_ field: String) throws {
        #expect(EntityTags(field) == nil)
        #expect(field.wholeMatch(of: try Regex(EntityTags.form)) == nil)
    }
}
