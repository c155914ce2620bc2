import Foundation
import Testing

/// Interfaces with the machine's devices come and go while the topology is up.
@Suite("Devices of the machine that come and go by apply", .serialized, .enabled(if: isRoot))
struct DeviceApplyTests {
    private struct Files {
        let played: PlayedMachine
        let with: String

        init(_ played: PlayedMachine) throws {
            self.played = played
            with = try String(contentsOfFile: played.topology.file, encoding: .utf8)
        }

        /// The file without the line of `wan`.
        var without: String {
            with.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.contains("wan:") }
                .joined(separator: "\n")
        }

        func write(_ text: String) throws {
            try text.write(toFile: played.topology.file, atomically: true, encoding: .utf8)
        }

        func apply(_ text: String) throws -> RunResult {
            try write(text)
            return try played.start("apply", played.name, "--drain", "0s").finish()
        }
    }

    @Test("the device is lent when its interface comes, and given back as it was when that goes")
    func comeAndGo() throws {
        let played = try PlayedMachine()
        let before = try played.state()
        let files = try Files(played)
        try files.write(files.without)
        let up = try played.up()
        #expect(up.status == 0, "\(up.errors)")
        for round in 1...3 {
            let added = try files.apply(files.with)
            #expect(added.status == 0, "round \(round): \(added.errors)")
            #expect(try CommandLineRun.shell("ip -n \(played.machine.name) link show eth1").status != 0)
            try CommandLineRun.eventually("a house reaches the shop") { try played.echo() }
            #expect(try !played.echo(from: "10.3.3.3"), "it is not behind 10.0.0.0/16")
            let removed = try files.apply(files.without)
            #expect(removed.status == 0, "round \(round): \(removed.errors)")
            try played.expect(before)
        }
        // The last change leaves a loan that `down` ends.
        #expect(try files.apply(files.with).status == 0)
        #expect(try played.down().status == 0)
        try played.expect(before)
        try played.topology.expectGone()
    }

    @Test("a change that fails gives the device back")
    func failure() throws {
        let played = try PlayedMachine()
        let before = try played.state()
        let files = try Files(played)
        try files.write(files.without)
        #expect(try played.up().status == 0)
        let broken = files.with.replacing(
            "services:", with: "  more: { attach: servers, run: exec false, ready: { tcp: 81 } }\nservices:")
        let failed = try files.apply(broken)
        #expect(failed.status != 0)
        #expect(failed.errors.contains("the former state is restored"), "\(failed.errors)")
        try played.expect(before)
        // A device that is not there is told before anything is touched.
        let absent = try files.apply(files.with.replacing("eth1", with: "eth7"))
        #expect(absent.status != 0)
        #expect(absent.errors.contains("interface wan: the device eth7 is not there"), "\(absent.errors)")
        try played.expect(before)
        #expect(try files.apply(files.with).status == 0)
        try CommandLineRun.eventually("a house reaches the shop") { try played.echo() }
        let renamed = try files.apply(files.with.replacing("wan:", with: "net:"))
        #expect(renamed.status != 0)
        #expect(renamed.errors.contains("its device eth1 is lent to wan, which goes"), "\(renamed.errors)")
        try CommandLineRun.eventually("a house reaches the shop") { try played.echo() }
        #expect(try played.down().status == 0)
        try played.expect(before)
    }

    @Test("whenever the control process is killed meanwhile, down gives the device back as it was")
    func killed() throws {
        let played = try PlayedMachine()
        let before = try played.state()
        let files = try Files(played)
        for round in 1...12 {
            let comes = round % 2 == 1
            try files.write(comes ? files.without : files.with)
            let up = try played.up()
            #expect(up.status == 0, "round \(round): \(up.errors)")
            try files.write(comes ? files.with : files.without)
            let control = try played.topology.controlProcess()
            let apply = try played.start("apply", played.name, "--drain", "0s")
            let moment = UInt32.random(in: 0...300_000)
            usleep(moment)
            kill(control, SIGKILL)
            _ = apply.finish()
            let down = try played.down()
            #expect(down.status == 0, "round \(round), \(moment) us: \(down.errors)")
            try played.expect(before)
        }
        try played.topology.expectGone()
    }
}
