import Foundation
import Planning
import Testing
import TopologyFiles

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Collects the elements of an SVG.
private final class Elements: NSObject, XMLParserDelegate {
    struct Element {
        var name: String
        var attributes: [String: String]
        var text = ""
        func number(_ key: String) -> Double { attributes[key].flatMap(Double.init) ?? .nan }
    }
    var all: [Element] = []
    private var open: [Int] = []

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String] = [:]
    ) {
        open.append(all.count)
        all.append(Element(name: name, attributes: attributes))
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
        if let last = open.last { all[last].text += string }
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        open.removeLast()
    }

    /// The elements of a text, which must be well-formed.
    static func of(_ svg: String) throws -> [Element] {
        let parser = XMLParser(data: Data(svg.utf8))
        let elements = Elements()
        parser.delegate = elements
        #expect(parser.parse(), "\(String(describing: parser.parserError)) on line \(parser.lineNumber)")
        return elements.all
    }
}

private func diagram(_ text: String) throws -> Diagram {
    Diagram(try Planner.prove(TopologyFile.parse(text, path: "t.yaml")))
}

/// Many nodes with long names, hostile types, and three services.
private let crowded: String = {
    let customers = (0..<9).map { "  customer-number-\($0): { interface: customers }\n" }.joined()
    let servers = (0..<12).map { "  server-with-a-rather-long-name-\($0): { attach: servers }\n" }.joined()
    let services = (0..<12).map {
        "  service-\($0): { address: 203.0.113.\(100 + $0), ports: tcp/80, sequence: [fw, server-with-a-rather-long-name-\($0)] }\n"
    }.joined()
    return picture.replacing("  bob:   { interface: customers }\n", with: customers)
        .replacing("type: firewall", with: "type: '<b>\"fire\" & \\wall</b>; `x` #1 防火牆'")
        .replacing("services:\n", with: servers + "services:\n" + services)
}()

/// Two firewalls, and more servers than a box has room for.
private let shared = redundant.replacing(
    "attach: servers }", with: "attach: servers, instances: 12, redundancy: balance }")

@Suite struct GraphTests {
    @Test(arguments: [picture, crowded, shared])
    func labelsOfAnSVGDoNotMeet(_ text: String) throws {
        let elements = try Elements.of(diagram(text).text(.svg))
        let width = elements[0].number("width")
        let height = elements[0].number("height")
        #expect(elements[0].name == "svg")
        #expect(elements.contains { $0.name == "title" && $0.text == "picture" })
        var boxes: [(text: String, left: Double, right: Double, top: Double, bottom: Double)] = []
        for element in elements where element.name == "text" {
            let size = element.number("font-size")
            // A monospaced face is at most 0.62 of its size wide; Han characters are as wide as high.
            let length = element.text.unicodeScalars.reduce(0.0) { $0 + ($1.value > 0x2E80 ? 1.0 : 0.6) } * size
            let x = element.number("x")
            let left = element.attributes["text-anchor"] == "start" ? x : x - length / 2
            let top = element.number("y") - size * 0.8
            boxes.append((element.text, left, left + length, top, top + size))
        }
        for (index, box) in boxes.enumerated() {
            #expect(box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height, "\(box) is cut off")
            for other in boxes[(index + 1)...] {
                let apart =
                    box.right <= other.left || other.right <= box.left || box.bottom <= other.top
                    || other.bottom <= box.top
                #expect(apart, "\(box) meets \(other)")
            }
        }
    }

    @Test func everyServiceHasItsLines() throws {
        let elements = try Elements.of(diagram(picture).text(.svg))
        let lines = elements.filter { $0.name == "path" && $0.attributes["marker-end"] != nil }
        #expect(lines.contains { $0.attributes["stroke-dasharray"] != nil })
        #expect(lines.contains { $0.attributes["stroke-dasharray"] == nil })
        let titles = elements.filter { $0.name == "title" }.map(\.text)
        for way in [
            "shop request: alice to ids, a copy", "shop request: alice to fw", "shop request: fw to web",
            "shop response: web to fw", "shop response: fw to bob",
        ] {
            #expect(titles.contains(way), "\(titles)")
        }
        #expect(elements.contains { $0.name == "text" && $0.text == "shop: response" })
    }

    @Test func addressesAndPortsAreThere() throws {
        let drawn = try diagram(picture)
        let texts = try Elements.of(drawn.text(.svg)).filter { $0.name == "text" }.map(\.text)
        #expect(texts.contains("192.0.2.10") && texts.contains("2001:db8:2::10"))
        #expect(texts.contains { $0.hasPrefix("shop: request to 203.0.113.80 2001:db8:cb::80 tcp/80") }, "\(texts)")
        #expect(drawn.text(.mermaid).contains("alice<br>customer<br>192.0.2.10<br>2001:db8:2::10"))
        #expect(drawn.text(.mermaid).contains("[[\"shop<br>203.0.113.80<br>2001:db8:cb::80<br>tcp/80"))
        #expect(drawn.text(.dot).contains(#"label="shop\n203.0.113.80\n2001:db8:cb::80\ntcp/80"#))
    }

    @Test func theLegendHasOnlyWhatIsThere() throws {
        func texts(_ text: String) throws -> [String] {
            try Elements.of(diagram(text).text(.svg)).filter { $0.name == "text" }.map(\.text)
        }
        #expect(try texts(picture).contains { $0.contains("(copies thin)") })
        let alone = picture.replacing("    distribute: [ids, fw]\n", with: "")
        #expect(try !texts(alone).contains { $0.contains("copies thin") })
        #expect(try texts(alone).contains { $0.hasSuffix("which connects them all") })
        let empty = "name: e\ninterfaces: { i: { address: 192.0.2.1/24 } }\n"
        #expect(try texts(empty).contains("an interface of the packeting engine"))
        #expect(try !texts("name: e\n").contains { $0.contains("engine") || $0.contains("request") })
    }

    @Test func instancesThatShareTheWorkAreOneBox() throws {
        let mermaid = try diagram(shared.replacing("instances: [fw-a", with: "when-down: bypass, instances: [fw-a"))
            .text(.mermaid)
        let boxes = mermaid.split(separator: "\n").filter { $0.hasPrefix("    n") && $0.contains("[") }
        #expect(boxes.count == 5)
        #expect(mermaid.contains("fw<br>firewall, inline, active-standby: fw-a, fw-b"))
        #expect(mermaid.contains("web<br>web-server, terminal, balance: web-1, web-2, web-3 and 9 more"))
        // What is drawn is the way while nothing is down.
        #expect(mermaid.split(separator: "\n").filter { $0.contains("shop request\"") }.count == 3)
    }

    @Test func instancesThatAreCustomersHaveArrowsToo() throws {
        let proxies = """
            name: proxies
            interfaces: { customers: { address: 192.0.2.1/24 }, out: { address: 198.18.2.1/24 } }
            customers: { alice: { interface: customers } }
            applications:
              proxy: { attach: { in: customers, out: out }, instances: [a, b], redundancy: balance }
              web: { attach: out }
            services:
              proxy: { address: 203.0.113.31, ports: tcp/80, from: alice, sequence: proxy }
              pages: { address: 203.0.113.80, ports: tcp/80, from: proxy, sequence: web }
            """
        let mermaid = try diagram(proxies).text(.mermaid)
        #expect(mermaid.contains("n1 ==>|\"pages request\"| n2"), "\(mermaid)")
        #expect(mermaid.contains("n2 -.->|\"pages response\"| n1"), "\(mermaid)")
    }

    @Test func hostileTextsStayText() throws {
        let crowd = try diagram(crowded)
        let svg = try Elements.of(crowd.text(.svg))
        #expect(svg.contains { $0.name == "text" && $0.text.hasPrefix("<b>\"fire\" & \\wall</b>; `x` #1 防火牆") })
        let mermaid = crowd.text(.mermaid)
        #expect(mermaid.contains("#lt;b#gt;#quot;fire#quot; #amp; #92;wall#lt;/b#gt;; #96;x#96; #35;1 防火牆"))
        #expect(crowd.text(.dot).contains(#"<b>\"fire\" & \\wall</b>; `x` #1 防火牆"#))
    }

    /// Each line of a flowchart is one of the few kinds that the grammar has, and speaks of nodes that were declared.
    @Test(arguments: [picture, crowded, shared])
    func mermaidKeepsToItsGrammar(_ text: String) throws {
        var lines = try diagram(text).text(.mermaid).split(separator: "\n").map(String.init)[...]
        #expect(Array(lines.prefix(4)) == ["---", "title: picture", "---", "flowchart LR"])
        lines = lines.dropFirst(4)
        var declared: Set<String> = []
        var links = 0
        for line in lines {
            if let match = line.wholeMatch(of: #/    ([ins]\d+)(?:\(\["[^"]*"\]\)|\["[^"]*"\]|\[\["[^"]*"\]\])/#) {
                declared.insert(String(match.1))
            } else if let match = line.wholeMatch(of: #/    ([in]\d+) (?:---|(?:==>|-->|-\.->)\|"[^"]*"\|) ([in]\d+)/#)
            {
                #expect(declared.contains(String(match.1)) && declared.contains(String(match.2)), "\(line)")
                links += 1
            } else if let match = line.wholeMatch(of: #/    linkStyle ([\d,]+) stroke:#[0-9a-f]{6},color:#[0-9a-f]{6}/#)
            {
                #expect(match.1.split(separator: ",").allSatisfy { Int($0).map { $0 < links } ?? false }, "\(line)")
            } else {
                #expect(
                    line.wholeMatch(
                        of: #/    (classDef interface .*|class [i\d,]+ interface|style s\d+ [a-z]+:[#\w:,]+)/#) != nil,
                    "\(line)")
            }
        }
        #expect(links > 0)
    }

    /// Statements, balanced brackets, and strings that end.
    @Test(arguments: [picture, crowded, shared])
    func dotKeepsToItsGrammar(_ text: String) throws {
        let dot = try diagram(text).text(.dot)
        let bare = dot.replacing(#/"(?:[^"\\]|\\.)*"/#, with: "S")
        #expect(!bare.contains("\""))
        let lines = bare.split(separator: "\n").map(String.init)
        #expect(lines.first == "digraph S {" && lines.last == "}")
        let attributes = #/\[\w+=[\w.]+(?:, \w+=[\w.]+)*\]/#
        for line in lines.dropFirst(4).dropLast() {
            #expect(
                line.wholeMatch(of: #/    [ins]\d+(?: -> [in]\d+)? (\[.*\]);/#).map {
                    $0.1.wholeMatch(of: attributes) != nil
                } == true, "\(line)")
        }
    }
}
