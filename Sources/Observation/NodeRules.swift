import ApplianceClient
import ControlAPI
import EventLoop
import Glibc
import LinuxNetwork
import Reporting
import Tracing
import Wire

/// `nft monitor trace` in the nodes of a topology, with tables that mark the packets which nft reports.
///
/// The rules of the nodes stay as they are. The kernel removes each marking table with the process that owns it. That process
/// and nft's monitor end when this object or this process ends, however it ends.
final class NodeRules {
    /// The nodes that are watched.
    var nodes: [String] { watches.map(\.node) }
    /// What a person should know: which nodes cannot be watched, and why.
    private(set) var remarks: [String] = []
    private var watches: [NodeWatch] = []

    /// The most nodes that are watched: each takes two or three processes.
    private static let mostNodes = 32
    /// Texts of rules that were asked for.
    private var texts: [String: String?] = [:]
    private static let mostTexts = 256

    /// Begins to watch every node that has tables of nftables, but no passive application.
    ///
    /// - Throws: `ApplianceError` if the topology goes away.
    init(_ client: ApplianceClient, _ network: TracedNetwork, matches: [String]) throws(ApplianceError) {
        var (without, legacy, beyond): ([String], [String], [String]) = ([], [], [])
        for node in network.nodes where node.kind != .passive {
            let place = NodePlace(node.name, try client.entrance(to: node.name))
            let survey = place.survey()
            if survey.hasLegacy { legacy.append(node.name) }
            guard let families = survey.families else {
                remarks.append("nft is not installed, so no drop in '\(node.name)' is explained")
                continue
            }
            guard !families.isEmpty else {
                if !survey.hasLegacy, node.kind != .customer { without.append(node.name) }
                continue
            }
            guard watches.count < Self.mostNodes else {
                beyond.append(node.name)
                continue
            }
            do throws(ApplianceError) {
                watches.append(try NodeWatch(place, families: families, matches: matches))
            } catch {
                remarks.append("drops in '\(node.name)' are not explained: \(error.message)")
            }
        }
        if !without.isEmpty {
            remarks.append("no nftables rules in \(without.joined(separator: ", ")): no drop is explained there")
        }
        if !legacy.isEmpty {
            remarks.append(
                "\(legacy.joined(separator: ", ")): rules of iptables-legacy are not explained, only those of nftables")
        }
        if !beyond.isEmpty {
            remarks.append(
                "\(Self.mostNodes) nodes are watched; drops are not explained in \(beyond.joined(separator: ", "))")
        }
    }

    /// Gives what nft has told to `rules`.
    func read(into rules: inout RuleTraces) {
        for watch in watches {
            for line in watch.lines() {
                rules.add(line, at: watch.node) { family, table, chain, handle in
                    text(watch.place, family, table, chain, handle)
                }
            }
        }
    }

    /// The text of a rule that is younger than nft's monitor.
    private func text(
        _ place: NodePlace, _ family: String, _ table: String, _ chain: String, _ handle: UInt64
    ) -> String? {
        let key = "\(place.node) \(family) \(table) \(chain) \(handle)"
        if let known = texts[key] { return known }
        let found = place.rule(family, table, chain, handle)
        if texts.count >= Self.mostTexts { texts = [:] }
        texts[key] = .some(found)
        return found
    }
}

/// A node, and how commands get there.
struct NodePlace {
    let node: String
    private let entrance: NodeEntrance
    private let process: Pidfd

    init(_ node: String, _ way: (NodeEntrance, Pidfd)) {
        self.node = node
        (entrance, process) = way
    }

    /// The families of the node's tables, `inet` for those of packets and `bridge`; nil if nft is not installed. And whether
    /// it has tables of iptables-legacy.
    func survey() -> (families: Set<String>?, hasLegacy: Bool) {
        let output = output(
            of: "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null | sed 's/^/legacy /'; "
                + "command -v nft >/dev/null || exec echo none; exec nft list tables")
        var families: Set<String> = []
        let lines = output.split(separator: "\n")
        for line in lines {
            let words = line.split(separator: " ")
            guard words.count == 3, words[0] == "table", !words[2].hasPrefix(RuleTraces.tablePrefix) else { continue }
            if ["inet", "ip", "ip6"].contains(words[1]) { families.insert("inet") }
            if words[1] == "bridge" { families.insert("bridge") }
        }
        return (lines.contains("none") ? nil : families, lines.contains { $0.hasPrefix("legacy ") })
    }

    /// The text of a rule, as it is now.
    func rule(_ family: String, _ table: String, _ chain: String, _ handle: UInt64) -> String? {
        let listing = output(of: "exec nft -s -a list chain \"$@\"", arguments: [family, table, chain])
        let end = " # handle \(handle)"
        for line in listing.split(separator: "\n") where line.hasSuffix(end) && !line.contains("{ # handle") {
            return String(line.dropLast(end.count).drop { $0 == " " || $0 == "\t" })
        }
        return nil
    }

    /// Starts a shell command in the node.
    func start(
        _ script: String, arguments: [String] = [], input: Int32? = nil, output: Int32
    ) throws(ApplianceError) -> Pidfd {
        var descriptors: [Int32: Int32] = [1: output, 2: output]
        if let input { descriptors[0] = input }
        let variables = entrance.environment.merging(["LC_ALL": "C"]) { $1 }
        let command = Command(
            "/bin/sh", arguments: ["sh", "-c", script, "sh"] + arguments,
            environment: variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" },
            workingDirectory: "/", descriptors: descriptors, diesWithParent: true)
        do throws(SystemError) { return try ProcessLauncher.spawn(command, node: process) } catch {
            throw ApplianceError(.failed, "node \(node): \(error)")
        }
    }

    /// What a short command prints: at most a mebibyte, within some seconds.
    private func output(of script: String, arguments: [String] = []) -> String {
        guard let (reading, writing) = NodeWatch.pipe() else { return "" }
        defer { close(reading) }
        let child = try? start(script, arguments: arguments, output: writing)
        close(writing)
        guard let child else { return "" }
        defer { NodeWatch.end(child) }
        let deadline = monotonicTime() + .seconds(5)
        var bytes: [UInt8] = []
        while bytes.count < 1 << 20, monotonicTime() < deadline,
            pollOne(reading, POLLIN, within: deadline - monotonicTime()), let more = readOnce(reading), !more.isEmpty
        {
            bytes += more
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
