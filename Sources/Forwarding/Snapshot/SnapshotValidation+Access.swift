/// The rules of a snapshot's access lists.
extension SnapshotValidation {
    func checkAccess() throws(SnapshotError) {
        guard layout.count(.accessPoints) <= AccessPoint.most else { throw .section(Section.accessPoints.rawValue) }
        for section in Section.access { try all(section) { isSound(section, $0) } }
    }

    /// True if a record of an access list, or of its parts, keeps its rules.
    func isAccess(_ section: Section, _ index: Int) -> Bool {
        switch section {
        case .accessPoints:
            (0...1).allSatisfy { field in
                let own = halves(.accessPoints, index, field)
                return own.high == 0 || isAddresses(own)
            }
        case .accessLists:
            range(halves(section, index, 0), fits: .accessRules)
                && halves(section, index, 0).high <= AccessPoint.mostRules
                && isAction(section, index, 1)
                && [2, 3, 6, 7].allSatisfy { isAddresses(halves(section, index, $0)) }
                && (4...5).allSatisfy { isPorts(halves(section, index, $0)) }
        case .accessRules: isAction(section, index, 0)
        case .accessAddresses:
            halves(section, index, 2).low <= layout.count(.accessLists) && isVector(halves(section, index, 2).high)
        case .accessPorts: isVector(halves(section, index, 0).high)
        // A vector may have any bits: a rule is looked for among those of its list.
        default: true
        }
    }

    private func isAction(_ section: Section, _ index: Int, _ field: Int) -> Bool {
        let (counter, action) = halves(section, index, field)
        return counter < layout.ruleCounterCount
            && (action == Int(Layout.accessAllows) || action < 256 && AccessDenial(rawValue: UInt8(action)) != nil)
    }

    /// True if the longest vector that may begin there is in its section.
    private func isVector(_ first: Int) -> Bool { first + Layout.longestVector <= layout.count(.accessVectors) }

    /// Checks that there is a segment for each address.
    private func isAddresses(_ range: (low: Int, high: Int)) -> Bool {
        guard range.high > 0, self.range(range, fits: .accessAddresses), word(.accessAddresses, range.low, 0) == 0,
            word(.accessAddresses, range.low, 1) == 0
        else { return false }
        return (range.low + 1..<range.low + range.high).allSatisfy { index in
            let before = (word(.accessAddresses, index - 1, 0), word(.accessAddresses, index - 1, 1))
            return before < (word(.accessAddresses, index, 0), word(.accessAddresses, index, 1))
        }
    }

    /// Checks that there is a segment for each number.
    private func isPorts(_ range: (low: Int, high: Int)) -> Bool {
        guard range.high > 0, self.range(range, fits: .accessPorts), halves(.accessPorts, range.low, 0).low == 0 else {
            return false
        }
        return (range.low + 1..<range.low + range.high).allSatisfy { index in
            halves(.accessPorts, index - 1, 0).low < halves(.accessPorts, index, 0).low
        }
    }
}

extension Section {
    /// The sections of access lists.
    static let access: [Section] = [
        .accessPoints, .accessLists, .accessRules, .accessAddresses, .accessPorts, .accessVectors,
    ]
}
