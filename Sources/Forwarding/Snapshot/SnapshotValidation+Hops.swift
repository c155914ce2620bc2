/// The rules of a snapshot's hops and of the groups that they choose from.
extension SnapshotValidation {
    func checkInstanceGroups() throws(SnapshotError) {
        guard layout.count(.instanceGroups) <= Layout.maximumGroups else {
            throw .section(Section.instanceGroups.rawValue)
        }
        try all(.instanceGroups) { index in
            let (members, flags) = halves(.instanceGroups, index, 0)
            let (now, new) = halves(.instanceGroups, index, 2)
            let (sole, soleNew) = halves(.instanceGroups, index, 3)
            guard (1...Layout.maximumMembers).contains(members),
                FlowHashing(rawValue: UInt8(truncatingIfNeeded: flags >> 8)) != nil, flags >> 16 == 0, flags & 0xFF < 4
            else { return false }
            // The instances of a group that is down are never read.
            if flags & Int(Layout.groupDown) != 0 { return true }
            return isSlotTable(now, else: sole, members) && isSlotTable(new, else: soleNew, members)
        }
    }

    private func isSlotTable(_ first: Int, else sole: Int, _ members: Int) -> Bool {
        if first == Int(Layout.none) { return sole < members }
        guard first + Layout.slotRecords <= layout.count(.instanceSlots) else { return false }
        return (first..<first + Layout.slotRecords).allSatisfy { index in
            let word = word(.instanceSlots, index, 0)
            return (0..<4).allSatisfy { Int(UInt16(truncatingIfNeeded: word >> ($0 * 16))) < members }
        }
    }

    /// Checks that reading onward from a hop ends, and makes a bounded number of copies. A hop only refers to hops
    /// behind it.
    ///
    /// - Parameter start: The first record that is not checked yet.
    func checkTargets(from start: Int = 0) throws(SnapshotError) {
        let count = layout.count(.targets)
        guard start < count else { return }
        // Of the records from `start` on.
        var depths = [UInt8](repeating: 0, count: count - start)
        var copies = [UInt16](repeating: 1, count: count - start)
        /// The depth and the copies of the hops behind `index`; nil if they are invalid.
        func behind(_ index: Int, _ range: (low: Int, high: Int)) -> (depth: Int, copies: Int)? {
            guard range.high > 0 else { return (0, 0) }
            guard range.low > index, self.range(range, fits: .targets) else { return nil }
            var (depth, sum) = (0, 0)
            for place in range.low..<range.low + range.high {
                depth = max(depth, Int(depths[place - start]))
                sum += Int(copies[place - start])
            }
            return depth < Layout.maximumDepth && sum <= Layout.maximumCopies ? (depth + 1, sum) : nil
        }
        for index in (start..<count).reversed() {
            rest(after: index)
            let (word, head) = halves(.targets, index, 0)
            let low = word & 0xFFFF
            let kind = UInt8(head & 0xFF)
            guard kind >= Layout.kindInstance else {
                guard isTarget(index) else { throw .record(section: Section.targets.rawValue, index: index) }
                continue
            }
            let (first, second) = (halves(.targets, index, 1), halves(.targets, index, 2))
            guard low < layout.count(.instanceGroups), let down = behind(index, second) else {
                throw .record(section: Section.targets.rawValue, index: index)
            }
            var up: (depth: Int, copies: Int)?
            if kind == Layout.kindWhether {
                up = head == Int(kind) ? behind(index, first) : nil
            } else if kind == Layout.kindInstance, isAnswer(head >> 8),
                first.high == halves(.instanceGroups, low, 0).low, range(first, fits: .targets),
                (first.low..<first.low + first.high).allSatisfy({ isUnconditional($0) })
            {
                up = (0, 1)
            }
            guard let up else { throw .record(section: Section.targets.rawValue, index: index) }
            depths[index - start] = UInt8(max(up.depth, down.depth))
            copies[index - start] = UInt16(max(1, up.copies, down.copies))
        }
    }

    private func isAnswer(_ octet: Int) -> Bool {
        octet == Int(Layout.answerHops) || octet < 256 && DownAnswer(rawValue: UInt8(octet)) != nil
    }

    private func isUnconditional(_ index: Int) -> Bool {
        UInt8(truncatingIfNeeded: halves(.targets, index, 0).high) < Layout.kindInstance
    }

    private func isTarget(_ index: Int) -> Bool {
        let (low, head) = halves(.targets, index, 0)
        let interface = low & 0xFFFF
        let (kind, system, family) = (UInt8(head & 0xFF), UInt8(head >> 8 & 0xFF), head >> 16 & 0xFF)
        // Only a node that is known by its MAC address reports its groups.
        guard head >> 24 == 0 || head >> 24 == 1 && kind == Layout.kindMAC else { return false }
        let familyFits =
            switch kind {
            case Layout.kindMAC: family == 0
            case Layout.kindNetwork: family == 4 || family == 6
            case Layout.kindNeighbour: family == 0 || family == 4 || family == 6
            default: false
            }
        return interface < layout.count(.interfaces) && familyFits && DestinationSystemType(rawValue: system) != nil
            && word(.targets, index, 1) >> Layout.targetAccessShift <= UInt64(layout.count(.accessPoints))
    }
}
