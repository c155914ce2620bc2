import Appliance
import ControlAPI

/// The part of `tapline status` that shows applications and their instances.
struct StatusApplications {
    let report: StatusReport

    /// For each application: its state and why, its instances, and what their checks have seen.
    var lines: [String] { report.applications.flatMap { [""] + lines($0) } }

    private func lines(_ application: StatusReport.Application) -> [String] {
        var title = "application \(application.name): "
        title += application.state == "up" ? application.state : Terminal.coloured(application.state, 31)
        title += ", \(application.redundancy)"
        if let active = application.active, active > 1 { title += ", \(active) active" }
        if application.minimum > 1 { title += ", at least \(application.minimum)" }
        title += "; when down: \(application.whenDown)"
        var lines = Terminal.wrapped(title)
        if let reason = application.reason { lines += Terminal.wrapped("  \(reason)", indent: 4) }
        var table = TextTable(
            ["  INSTANCE", "STATE", "SHARE", "WEIGHT", "PRIORITY", "FOR", "WHY"], rightAligned: [2, 3, 4, 5])
        for instance in application.instances {
            table.add([
                "  \(instance.name)", state(instance.state), ApplianceEvent.percent(instance.share),
                "\(instance.weight)",
                "\(instance.priority)", elapsed(since: instance.since), why(instance),
            ])
        }
        lines += table.lines
        var checks = TextTable(["  CHECKED", "BY", "RESULT", "MADE", "FAILED", "LAST"], rightAligned: [3, 4])
        for instance in application.instances {
            for check in instance.checks {
                let took = check.microseconds.map { ", \(duration(microseconds: $0))" } ?? ""
                checks.add([
                    "  \(instance.name)", check.name, check.isPassed ? "passed" : Terminal.coloured("failed", 31),
                    "\(check.made)",
                    "\(check.failed)", (check.last ?? "-") + took,
                ])
            }
        }
        if application.instances.contains(where: { !$0.checks.isEmpty }) { lines += checks.lines }
        return lines
    }

    private func state(_ state: String) -> String {
        switch state {
        case "active", "standby": state
        case "down", "suppressed": Terminal.coloured(state, 31)
        default: Terminal.coloured(state, 33)
        }
    }

    private func why(_ instance: StatusReport.Instance) -> String {
        var parts = [instance.reason]
        if let left = instance.joinLeft { parts.insert("new flows only, \((left.count + 999) / 1000) s left", at: 0) }
        if let left = instance.drainLeft { parts.insert("drains for \((left.count + 999) / 1000) s more", at: 0) }
        if instance.weight != instance.fileWeight { parts.append("weight \(instance.fileWeight) in the file") }
        return parts.joined(separator: "; ")
    }

    private func elapsed(since: Int) -> String {
        let seconds = max(0, ApplianceEvent.now - since) / 1_000_000
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        default: "\(seconds / 3600) h"
        }
    }

    private func duration(microseconds: Int) -> String {
        microseconds < 10_000 ? "\(microseconds) us" : "\(microseconds / 1000) ms"
    }
}
