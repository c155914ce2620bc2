import Testing
import Wire

@Suite struct DNSQuestionTests {
    private let question = DNSQuestion(name: "www.example.test.", type: .a)!

    /// ID 0x1234, an answer, recursion desired and available, one question, one answer.
    private let head: [UInt8] = [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]
    private let asked: [UInt8] =
        [3] + Array("www".utf8) + [7] + Array("example".utf8) + [4] + Array("test".utf8) + [0, 0, 1, 0, 1]
    /// The name is a pointer to the question's; class IN, 60 s, four octets.
    private let record: [UInt8] = [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 80]

    @Test func aQueryIsAsRFC1035DrawsIt() {
        #expect(question.query(id: 0x1234) == [0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0] + asked)
    }

    @Test func namesThatNoDomainHasAreNone() {
        let long = String(repeating: "a", count: 64)
        for name in [
            "", ".", "a..b", long, "a b", "ü.test", Array(repeating: "abcdefg", count: 32).joined(separator: "."),
        ] {
            #expect(DNSQuestion(name: name, type: .a) == nil, "\(name)")
        }
        #expect(DNSQuestion(name: String(long.dropLast()), type: .txt) != nil)
    }

    @Test func anAnswerIsRead() {
        #expect(
            question.answer(in: head + asked + record, id: 0x1234)
                == DNSAnswer(code: 0, isTruncated: false, records: ["203.0.113.80"]))
        var refused = head
        refused[3] = 0x85
        refused[7] = 0
        #expect(question.answer(in: refused + asked, id: 0x1234)?.codeName == "REFUSED")
    }

    @Test func whatAnswersAnotherQuestionIsNone() {
        let whole = head + asked + record
        #expect(question.answer(in: whole, id: 0x1235) == nil)
        #expect(DNSQuestion(name: "www.example.tests", type: .a)?.answer(in: whole, id: 0x1234) == nil)
        #expect(DNSQuestion(name: "www.example.test", type: .aaaa)?.answer(in: whole, id: 0x1234) == nil)
        #expect(DNSQuestion(name: "WWW.example.TEST", type: .a)?.answer(in: whole, id: 0x1234) != nil)
        // The query itself, come back.
        #expect(question.answer(in: question.query(id: 0x1234), id: 0x1234) == nil)
    }

    @Test func whatIsCutOffIsReadAsFarAsItGoes() {
        let whole = head + asked + record
        for length in 0..<whole.count {
            let answer = question.answer(in: Array(whole[..<length]), id: 0x1234)
            #expect(answer?.records ?? [] == [], "\(length)")
        }
    }

    @Test func pointersInACircleEnd() {
        for target in [UInt8(12), 33, 34, 200] {
            let circle = head + [0xC0, target] + [0, 1, 0, 1] + record
            #expect(question.answer(in: circle, id: 0x1234) == nil)
            _ = question.answer(in: head + asked + [0xC0, target] + record.dropFirst(2), id: 0x1234)
        }
    }

    @Test(arguments: [
        (DNSQuestion.RecordType.mx, [UInt8](arrayLiteral: 0, 10, 0xC0, 12), "10 www.example.test"),
        (.txt, [2, 104, 105, 1, 33], "hi!"), (.srv, [0, 1, 0, 2, 0, 80, 1, 97, 0], "1 2 80 a"),
        (.cname, [0xC0, 16], "example.test"),
        (.soa, [1, 97, 0, 1, 98, 0] + [UInt8](repeating: 0, count: 20), "a b"),
        (.aaaa, [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [1], "2001:db8::1"),
    ])
    func dataIsWrittenAsZoneFilesDo(_ type: DNSQuestion.RecordType, _ data: [UInt8], _ text: String) throws {
        let question = try #require(DNSQuestion(name: "www.example.test", type: type))
        let query = question.query(id: 7)
        let answer: [UInt8] =
            [0, 7, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0] + query.dropFirst(12) + [0xC0, 12, 0, UInt8(type.rawValue), 0, 1]
            + [0, 0, 0, 0, 0, UInt8(data.count)] + data
        #expect(question.answer(in: answer, id: 7)?.records == [text])
        // Its length is of another type, or too short.
        var short = answer
        short[short.count - data.count - 1] = 1
        #expect(question.answer(in: short, id: 7)?.records.contains(text) != true)
    }
}
