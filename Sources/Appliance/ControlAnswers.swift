import ControlAPI
import Engine
import EngineControl
import EventLoop
import Fabric
import Forwarding
import Glibc
import LinuxNetwork
import Logging
import Nodes
import Plan
import Redundancy
import Reporting
import Verification
import Wire

/// The control process's answers on its socket. On the loop's thread.
extension ControlProcess {
    func answer(_ request: ControlRequest, _ lines: AnswerLines) {
        loop.preconditionCurrent()
        switch request {
        case .status(let command): answerStatus(lines.reply(to: command))
        case .tables(let command): sampler.tables.answer(lines.reply(to: command))
        case .sample(let command):
            if let oneIn = command.timesOneIn { applicationTimes.want(oneIn: oneIn) }
            sampler.samples.answer(lines.reply(to: command))
        case .stop(let command):
            lines.reply(to: command)(Done())
            cancellation.raise()
        case .node(let command):
            let reply = lines.reply(to: command)
            do throws(ApplianceError) { reply(try node(command.node).enter().entrance) } catch { reply.fail(error) }
        case .reload(let command):
            inBackground(lines.reply(to: command)) { [self, file] _ throws(ApplianceError) in
                try reload(command.file ?? file, settings: command.settings)
            }
        case .apply(let command):
            inBackground(lines.reply(to: command)) { [self, file] tell throws(ApplianceError) in
                try apply(
                    command.file ?? file, settings: command.settings, isTrial: command.isTrial ?? false,
                    drain: command.drain?.duration, tell: tell)
            }
        case .add(let command):
            inBackground(lines.reply(to: command)) { [self] tell throws(ApplianceError) in
                try add(command.application, command.instance, tell: tell)
            }
        case .remove(let command):
            inBackground(lines.reply(to: command)) { [self] tell throws(ApplianceError) in
                try remove(command.instance, drain: command.drain?.duration, tell: tell)
            }
        case .cancel(let command): lines.reply(to: command)(CancelReport(isUnderWay: gate.cancel()))
        case .events(let command):
            var place = events.place(since: command.since, count: command.count)
            lines.reply(to: command)(events.read(&place))
        case .operate(let command):
            let reply = lines.reply(to: command)
            guard let applications else {
                return reply.fail(ApplianceError(.failed, "'\(plan.name)' is not up", hint: "try again"))
            }
            applications.perform(command.operation, on: command.instance) { reply($0) }
        case .engine(let command):
            let reply = lines.reply(to: command)
            operate(command.operation, engine: command.engine) { reply($0.map { Done() }) }
        case .capture:
            // Its answers are a stream.
            break
        case .operateNode(let command):
            inBackground(lines.reply(to: command)) { [self] _ throws(ApplianceError) in
                try operate(command)
                return Done()
            }
        case .impair(let command):
            inBackground(lines.reply(to: command)) { [self] _ throws(ApplianceError) in try impair(command) }
        case .mappings(let command): lines.reply(to: command)(negotiation?.listing ?? MappingListing())
        case .describe(let command): describe(command, lines.reply(to: command))
        case .observe(let command): lines.reply(to: command)(Done())
        case .drawing(let command): drawings.answer(command, lines.reply(to: command))
        case .log(let command):
            let reply = lines.reply(to: command)
            guard let plan = nodes.first(where: { $0.plan.name == command.node })?.plan else {
                return reply.fail(
                    ApplianceError(.name, "there is no node '\(ControlText.shown(command.node, most: 64))'"))
            }
            let programs = plan.process.programs.map(\.name)
            let share = NodeLog.mostLines / (programs.count + 1)
            let lines = programs.flatMap { program in
                lastLines(directory.outputPath(command.node, program: program), share).map { "\(program) | \($0)" }
            }
            reply(
                NodeLog(lines: lines + lastLines(directory.outputPath(command.node), NodeLog.mostLines - lines.count)))
        case .send(let command):
            inBackground(lines.reply(to: command)) { [self] _ throws(ApplianceError) in
                let sent = try ProbeSender.send(
                    from: node(command.from), to: command.to, port: command.port,
                    sourcePort: command.sourcePort.map { UInt16(clamping: $0) })
                return SentPacket(source: "\(sent.source)", length: sent.length)
            }
        }
    }

    /// A large table has many names, so they are collected on a thread that no request waits for.
    private func describe(_ command: DescribeRequest, _ reply: ControlReply<NetworkDescription>) {
        let (answer, loop, plan, directory) = (Box(reply), loop, plan, directory)
        let work: @Sendable () -> Void = {
            let description = NetworkDescription(
                plan, entries: command.entries ?? false, folder: { directory.nodePath($0) })
            loop.submit { answer.value(description) }
        }
        do throws(ApplianceError) { try startThread(work) } catch { work() }
    }

    /// Dealing slots out takes time, so it is done on a thread that no request waits for.
    private func answerStatus(_ reply: ControlReply<StatusReport>) {
        let reading = sampler.read(withEntries: false)
        guard reading.states?.applications.isEmpty == false else { return reply(reading.status) }
        let (answer, loop) = (Box(reply), loop)
        let work: @Sendable () -> Void = {
            let whole = reading.wholeStatus
            loop.submit { answer.value(whole) }
        }
        do throws(ApplianceError) { try startThread(work) } catch { work() }
    }

    /// How everything is, without the applications.
    ///
    /// - Parameters:
    ///   - counts: In the order of the table's interfaces; empty without an engine.
    ///   - dropped: By the reason's raw value; empty without an engine.
    func status(interfaces counts: [InterfaceCount], drops dropped: [UInt64]) -> StatusReport {
        let state: StatusReport.State =
            switch record.phase {
            case .starting: .starting
            case .up: .up
            case .stopping: .stopping
            }
        let ringDrops = built?.ringDrops(plan) ?? []
        let interfaces = table.interfaces.enumerated().compactMap { index, interface -> StatusReport.Interface? in
            guard !interface.isVacant else { return nil }
            let count = counts.indices.contains(index) ? counts[index] : nil
            let plan = self.plan.interfaces.first { $0.name == interface.name }
            return StatusReport.Interface(
                name: interface.name, mac: "\(interface.mac)", mtu: interface.mtu,
                addresses: interface.addresses.map { "\($0)" },
                nodes: self.plan.nodes.filter { $0.legs.contains { $0.interface == index } }.map(\.name),
                receivedPackets: count?.received.packets ?? 0, receivedBytes: count?.received.bytes ?? 0,
                sentPackets: count?.sent.packets ?? 0, sentBytes: count?.sent.bytes ?? 0,
                ringDrops: ringDrops.indices.contains(index) ? ringDrops[index] : 0,
                device: plan?.device?.name, deviceFault: attachments?.fault(ofDeviceOf: interface.name),
                encapsulation: plan?.encapsulation, carrier: plan?.carrier.map(interfaceName))
        }
        let drops = DropReason.allCases.filter { $0 != .housekeeping }.compactMap { reason -> StatusReport.Drop? in
            let place = Int(reason.rawValue)
            guard let frames = dropped.indices.contains(place) ? dropped[place] : nil, frames > 0 else { return nil }
            return StatusReport.Drop(
                reason: reason.name, sentence: reason.sentence, frames: frames,
                last: fleet?.lastDrop(reason).map { StatusReport.Dropped($0, table) })
        }
        var report = StatusReport(
            name: plan.name, state: state, run: record.current.run, file: file, pid: ownPid, since: since,
            engine: fleet.map(engineStatus), interfaces: interfaces, nodes: nodes.map(nodeStatus), drops: drops)
        let housekeeping = Int(DropReason.housekeeping.rawValue)
        report.housekeeping = dropped.indices.contains(housekeeping) ? dropped[housekeeping] : 0
        report.engines = (fleet?.status ?? []).map {
            StatusReport.NumberedEngine(
                number: $0.number, pid: $0.pid, state: $0.state.rawValue, queues: $0.queueSets,
                packets: $0.received, starts: $0.starts, lastEnd: $0.lastEnd, writes: $0.writing?.name,
                writesBecause: $0.writing?.why)
        }
        let impaired = impairmentReport
        if !impaired.isEmpty { report.impairments = impaired }
        report.groups = StatusReport.Group.all(table, joined: fleet?.joined(table.joiners) ?? [])
        report.problems = problems()
        report.remarks = remarks()
        report.mappings = negotiation?.listing.mappings.count
        if let door = recordKeeper?.door {
            report.management = door.status
            if let trouble = door.trouble {
                if trouble.hasExpired {
                    report.problems.append(trouble.sentence)
                } else {
                    report.remarks.append(trouble.sentence)
                }
            }
            if let remark = door.remark { report.remarks.append(remark) }
        }
        if let trouble = fleet?.spareTrouble {
            report.problems.append(
                "the engine has no spare that can replace it at once: \(trouble); see \(directory.logPath)")
        }
        return report
    }

    /// The parts that are not as they were made. While parts come and go, none is missing.
    private func problems() -> [String] {
        guard let built, !gate.isChanging, record.phase != .stopping else { return [] }
        let found = Inspection(plan: plan, built: built).problems()
        // A change may have begun meanwhile; it cannot have ended.
        return gate.isChanging ? [] : found
    }

    /// Remarks on parts that work, but not as well as they could.
    private func remarks() -> [String] {
        var remarks: [String] = []
        if let oversubscription = Machine.oversubscription(of: plan.engines) { remarks.append(oversubscription) }
        remarks += plan.interfaces.compactMap { interface in
            attachments?.fault(ofDeviceOf: interface.name).map {
                "the device \(interface.device?.name ?? "") of interface \(interface.name) \($0)"
            }
        }
        remarks += nodes.compactMap { node in
            node.absence.map {
                "the network namespace of \(node.plan.name) is gone: \($0); \(node.plan.attachment?.outlook ?? "")"
            }
        }
        if let closed = fleet?.closedQueues, closed > 0 {
            remarks.append(
                "engines have found \(closed) queue\(closed == 1 ? "" : "s") closed, because something deleted a device: "
                    + "'tapline down \(plan.name)' and 'tapline up' repair that")
        }
        if plan.engines.writing == .ring, let why = fleet?.status.lazy.compactMap({ $0.writing?.why }).first {
            remarks.append("the file asks for `io: io_uring`, but frames are written one by one: \(why)")
        }
        if let refusal = built?.taps.lazy.compactMap({ $0?.steeringRefusal }).first {
            remarks.append(
                "packets of one tunnel may overtake one another: the kernel divides frames among the workers by what is "
                    + "inside of tunnels, because Tapline \(refusal)")
        }
        if let built {
            remarks += zip(plan.interfaces, built.taps).filter { $1?.refusesTunnels ?? false }.map { interface, _ in
                "segments for the tunnels on \(interface.name) are cut by the engine, which is slower: the kernel takes none in "
                    + "tunnels; use one of version 6.18 or later"
            }
        }
        remarks += plan.recordsSetAside.map {
            "service \($0.record.id) is set aside: \($0.reasons.joined(separator: "; "))"
        }
        remarks += plan.accessSetAside.map(\.note) + plan.accessLists.flatMap(\.notes)
        return remarks
    }

    /// All engines as one: a state that all share, else the state of the first that differs.
    private func engineStatus(_ fleet: EngineFleet) -> StatusReport.Engine {
        let each = fleet.status
        let odd = each.first { $0.state != .running } ?? each[0]
        let writing = (each.first { $0.writing?.failure ?? 0 != 0 } ?? each.first { $0.writing != nil })?.writing
        return StatusReport.Engine(
            pid: each[0].pid, state: odd.state.rawValue, starts: each.reduce(0) { $0 + $1.starts },
            lastEnd: (each.first { $0.lastEnd != nil })?.lastEnd, workers: plan.engines.workers * each.count,
            tables: fleet.tables, writes: writing?.name, writesBecause: writing?.why,
            coalescing: plan.engines.coalesces, joined: fleet.coalesced, closedQueues: fleet.closedQueues,
            turns: fleet.turns,
            latency: plan.engines.latency.rawValue)
    }

    /// The name of the interface at a place. While a file is applied, nodes may be on interfaces of the next plan or of the former
    /// one.
    private func interfaceName(_ place: Int) -> String {
        let names = [plan.interfaces.map(\.name), table.interfaces.map(\.name)]
        return names.lazy.compactMap { names in
            names.indices.contains(place) && !TableInterface.isVacant(names[place]) ? names[place] : nil
        }.first ?? "#\(place)"
    }

    private func nodeStatus(_ node: NodeRuntime) -> StatusReport.Node {
        StatusReport.Node(
            name: node.plan.name, kind: node.plan.kind.rawValue, type: node.plan.type,
            namespace: node.plan.namespace, isAttached: node.plan.attachment != nil, absence: node.absence,
            state: node.state.rawValue, pid: node.pid, restarts: node.restarts,
            lastEnd: node.lastEnd,
            programs: node.programs.map {
                StatusReport.Program(
                    name: $0.program ?? "", state: $0.state.rawValue, pid: $0.pid, restarts: $0.restarts,
                    lastEnd: $0.lastEnd)
            },
            legs: node.plan.legs.map { leg in
                StatusReport.Leg(
                    interface: interfaceName(leg.interface), role: leg.role, device: leg.device,
                    mac: "\(leg.mac)", addresses: leg.addresses.map { "\($0)" },
                    encapsulation: plan.interfaces.indices.contains(leg.interface)
                        ? plan.interfaces[leg.interface].encapsulation : nil)
            })
    }

    // MARK: - Engines

    /// Carries out an operator's request for an engine, by its number from 1; nil: for all, one by one, with `replace`
    /// alone.
    func operate(
        _ operation: EngineOperation, engine number: Int?, _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        loop.preconditionCurrent()
        guard let fleet else { return done(.failure(.noEngineYet)) }
        switch (operation, number) {
        case (.replace, let number): fleet.replace(engine: number, done)
        case (.drain, let number?): fleet.drain(engine: number, done)
        case (.undrain, let number?):
            done(Result { () throws(ApplianceError) in try fleet.undrain(engine: number) })
        case (.kill, let number?):
            done(Result { () throws(ApplianceError) in try fleet.signal(SIGKILL, engine: number) })
        case (.stop, let number?):
            done(Result { () throws(ApplianceError) in try fleet.signal(SIGSTOP, engine: number) })
        case (.drain, nil), (.undrain, nil), (.kill, nil), (.stop, nil):
            done(
                .failure(
                    ApplianceError(
                        .failed, "'\(operation.rawValue)' is for one engine at a time", hint: "name its number")))
        }
    }

    // MARK: - Another table

    /// Runs `body` on a thread of its own, and answers with its result; its progress goes out before.
    private func inBackground<Answer>(
        _ reply: ControlReply<Answer>,
        _ body: @escaping (@escaping (Progress) -> Void) throws(ApplianceError) -> Answer
    ) {
        let (loop, reply, work) = (loop, Box(reply), Box(body))
        do throws(ApplianceError) {
            try startThread {
                let result: Result<Answer, ApplianceError>
                do throws(ApplianceError) {
                    result = .success(try work.value { summary in loop.submit { reply.value.tell(summary) } })
                } catch {
                    result = .failure(error)
                }
                loop.submit { reply.value(result) }
            }
        } catch {
            reply.value.fail(error)
        }
    }

    /// Adopts a plan whose table is in force: the watch follows its instances from now on.
    func adopt(_ fresh: AppliancePlan) {
        loop.preconditionCurrent()
        do throws(ApplianceError) { try watchInstances(of: fresh) } catch { logger.error("\(error)") }
        applications?.adopt(fresh, health: watch.health(of: nodes))
    }

    /// Hands a table to the engines.
    func send(
        _ table: ForwardingTable, _ extent: TablePublisher.Extent,
        _ done: @escaping (Result<Void, ApplianceError>) -> Void
    ) {
        loop.preconditionCurrent()
        drainNotes?.prepare(for: table.groups)
        guard let fleet else {
            done(.failure(.cancelled))
            return
        }
        switch extent {
        case .groups:
            // The states of instances go into the compiled snapshot: that takes no longer for a large table.
            var compiled = fleet.compiled
            guard compiled.setGroups(table.groups) else { return fleet.publish(table, done) }
            fleet.publish(compiled, groupsOnly: true, done)
        case .entries(let patch, let before): fleet.publish(table, from: before, patch, done)
        case .everything: fleet.publish(table, done)
        case .engines(let set): fleet.regrow(to: set, table, done)
        }
    }
}

extension ApplianceError {
    /// The topology is coming up, or going.
    static var noEngineYet: ApplianceError {
        ApplianceError(.failed, "there is no engine yet", hint: "try again")
    }
}

extension ForwardingTable {
    /// This table with the counters of `before`, and the number of entries that kept theirs. An entry keeps its
    /// counters if `before` has one of the same name that matches the same packets, wherever they send. Other entries
    /// get fresh counters. A counter of an entry of `before` goes to no other entry.
    func keepingCounters(of before: ForwardingTable) -> (table: ForwardingTable, kept: Int) {
        var known: [Entry: [Int]] = [:]
        var next = 0
        for entry in before.entries.reversed() {
            known[entry.match, default: []].append(entry.counter)
            next = Swift.max(next, entry.counter + 1)
        }
        var table = self
        var kept = 0
        for index in table.entries.indices {
            if let counter = known[table.entries[index].match]?.popLast() {
                table.entries[index].counter = counter
                kept += 1
            } else {
                table.entries[index].counter = next
                next += 1
            }
        }
        return (table, kept)
    }
}
