import Foundation
import Testing

/// The live page of a topology of two hundred nodes.
@Suite(.serialized, SharedPage(text: PortalLab.wide(195), options: ["--patience", "5s"])) struct WideTests {
    /// Prints how long two hundred nodes take; asserts that all of them are drawn.
    @Test func twoHundredNodesAreDrawn() throws {
        let lab = try SharedPage.lab
        let found = try lab.browse("draw")
        #expect(found["boxes"] as? Int == 199, "\(found)")
        #expect(try #require(found["arrows"] as? Int) > 390)
        #expect(found["sized"] as? Bool == true)
        let drawn = try #require(found["drawn"] as? Double)
        #expect(drawn > 0)
        print("200 nodes drawn \(drawn.rounded()) ms after the click on the page's address")
    }

    /// A browser that follows the page and reads nothing is left; nothing waits for it without bound, and packets go on.
    @Test func aClientThatNeverReadsIsLeft() throws {
        let lab = try SharedPage.lab
        let before = try lab.memory()
        let deaf = try (0..<30).map { _ in
            let connection = try Connection(lab.port, receiveBuffer: 4096)
            connection.say(lab.request("GET", "/live?build=0&after=0"))
            return connection
        }
        let portal = try lab.portal()
        func sockets() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/\(portal)/fd").count {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(portal)/fd/\($0)"))?
                    .hasPrefix("socket:") == true
            }
        }
        try Programs.eventually("the page has met them") { try sockets() >= 30 }
        #expect(try lab.ping(50))
        // Thirty times what one connection has waiting, and what the page itself needs.
        #expect(try lab.memory() - before < 80 << 10)
        try Programs.eventually("the page has left them") { try sockets() < 10 }
        #expect(try lab.ping(50))
        #expect(try lab.get("/").status == 200)
        #expect(deaf.count == 30)
    }
}
