import Forwarding
import Reporting
import Testing
import Wire

@testable import Plan
@testable import Planning
@testable import TopologyFiles

/// A topology that comes in part from records: what stands in them has no line, and messages name the record.
struct RecordTests {
    private static func record(_ field: String? = nil) -> SourceOrigin {
        .record(SourceRecord(kind: "service", id: "17", field: field))
    }

    /// The service of a record: mail for the customers of the picture, on the way that its shop has.
    private static func mail(address: String = "203.0.113.25", port: String = "tcp/25") throws -> RawService {
        var service = RawService(name: Located("mail", record()))
        service.addresses = [Located(try #require(IPPrefix(address)), record("address"))]
        service.ports = [Located(try #require(PortSpecification(port)), record("ports"))]
        service.distribute = [RawStop(name: Located("ids", record("distribute")))]
        service.sequence = ["fw", "web"].map { RawStop(name: Located($0, record("sequence"))) }
        return service
    }

    /// What is wrong with the picture and a service of a record beside it.
    private static func problems(_ service: RawService, first isFirst: Bool = false) throws -> [TopologyProblem] {
        var file = try TopologyFile.parse(picture, path: "t.yaml")
        file.services.insert(service, at: isFirst ? 0 : file.services.count)
        do throws(TopologyError) {
            _ = try Planner.plan(file)
            return []
        } catch {
            return error.problems
        }
    }

    @Test func aServiceOfARecordIsPlannedLikeOneOfTheFile() throws {
        var file = try TopologyFile.parse(picture, path: "t.yaml")
        file.services.append(try Self.mail())
        let plan = try Planner.plan(file)
        #expect(plan.table.entries.contains { $0.name == "mail.request.customers" })
        let proved = try Planner.prove(file)
        #expect(proved.services.map(\.name) == ["shop", "mail"])
        #expect(proved.services.last?.origin == Self.record())
    }

    @Test func messagesOfThePlanNameTheRecord() throws {
        var file = try TopologyFile.parse(picture, path: "t.yaml")
        let web = try #require(file.nodes.firstIndex { $0.name.value == "web" })
        file.nodes[web].name.origin = .record(SourceRecord(kind: "application", id: "4"))
        let plan = try Planner.plan(file)
        #expect(plan.node("web").place == "node web (application record 4)")
        #expect(
            plan.node("fw").place
                == "node fw (line \(file.nodes.first { $0.name.value == "fw" }!.name.origin.lineNumber))")
    }

    @Test func aNameThatStandsForNothingIsToldWithTheRecord() throws {
        var service = try Self.mail()
        service.sequence[1] = RawStop(name: Located("wep", Self.record("sequence")))
        let problem = try #require(try Self.problems(service).first)
        #expect(
            problem.summary
                == "t.yaml: service record 17, field \"sequence\": error: there is no application \"wep\"; "
                + "did you mean \"web\"?")
        #expect(problem.description == problem.summary)
        #expect(problem.origin == Self.record("sequence") && problem.line == 0 && problem.column == 0)
    }

    @Test func aRecordThatCollidesWithALineNamesTheLine() throws {
        let service = try Self.mail(address: "203.0.113.80", port: "tcp/80")
        let problem = try #require(try Self.problems(service).first)
        #expect(
            problem.summary.hasPrefix(
                "t.yaml: service record 17, field \"address\": error: service \"mail\" and service \"shop\" on line 15 have "
                    + "the same address 203.0.113.80"), "\(problem)")
        #expect(problem.related.map(\.origin.lineNumber) == [15])
        #expect(problem.description.contains("\nt.yaml:15:3: note: service \"shop\" is here\n"), "\(problem)")
    }

    @Test func aLineThatCollidesWithARecordNamesTheRecord() throws {
        let service = try Self.mail(address: "203.0.113.80", port: "tcp/80")
        let problem = try #require(try Self.problems(service, first: true).first)
        #expect(
            problem.summary.hasPrefix(
                "t.yaml:15:3: error: service \"shop\" and service \"mail\" in service record 17 have the same address "
                    + "203.0.113.80"), "\(problem)")
        #expect(
            problem.description.hasSuffix("\nt.yaml: service record 17: note: service \"mail\" is here"), "\(problem)")
    }

    @Test func linesComeBeforeRecordsAndRecordsByNumber() {
        func record(_ id: String) -> SourceOrigin { .record(SourceRecord(kind: "service", id: id)) }
        let line = SourceOrigin.line(SourcePosition(line: 900, column: 1))
        #expect([record("10"), record("9"), line].sorted() == [line, record("9"), record("10")])
        #expect(line.place == "on line 900" && record("9").place == "in service record 9")
        #expect(record("a\u{1B}b").description == "service record \"a\\u{1b}b\"")
    }
}
