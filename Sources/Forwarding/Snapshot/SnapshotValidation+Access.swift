/// The rules of a snapshot's access lists.
extension SnapshotValidation {
    func checkAccess() throws(SnapshotError) {
        guard layout.count(.accessPoints) <= AccessPoint.most else { throw .section(Section.accessPoints.rawValue) }
        try all(.accessRules) { isAction(.accessRules, $0, 0) }
        try all(.accessLists) { index in
            let rules = halves(.accessLists, index, 0)
            let words = word(.accessLists, index, 6)
            guard range(rules, fits: .accessRules), words == UInt64((rules.high + 63) / 64),
                isAction(.accessLists, index, 1)
            else { return false }
            return (2...3).allSatisfy { isAddresses(halves(.accessLists, index, $0), words: Int(words)) }
                && (4...5).allSatisfy { isPorts(halves(.accessLists, index, $0), words: Int(words)) }
        }
        try all(.accessPoints) { index in
            (0...1).allSatisfy { field in
                let own = halves(.accessPoints, index, field)
                return own.high == 0 || isAddresses(own, words: nil)
            }
        }
    }

    private func isAction(_ section: Section, _ index: Int, _ field: Int) -> Bool {
        let (counter, action) = halves(section, index, field)
        return counter < layout.ruleCounterCount
            && (action == Int(Layout.accessAllows) || action < 256 && AccessDenial(rawValue: UInt8(action)) != nil)
    }

    private func isVector(_ first: Int, words: Int) -> Bool { first + words <= layout.count(.accessVectors) }

    /// Checks segments of addresses: there is one for each address, and its vector has the words that its list's rules need.
    ///
    /// - Parameter words: Words of a vector; nil if each segment names its list.
    private func isAddresses(_ range: (low: Int, high: Int), words: Int?) -> Bool {
        guard range.high > 0, self.range(range, fits: .accessAddresses), word(.accessAddresses, range.low, 0) == 0,
            word(.accessAddresses, range.low, 1) == 0
        else { return false }
        return (range.low..<range.low + range.high).allSatisfy { index in
            let (list, vector) = halves(.accessAddresses, index, 2)
            if index > range.low {
                let before = (word(.accessAddresses, index - 1, 0), word(.accessAddresses, index - 1, 1))
                guard before < (word(.accessAddresses, index, 0), word(.accessAddresses, index, 1)) else {
                    return false
                }
            }
            if let words { return list == 0 && isVector(vector, words: words) }
            guard list <= layout.count(.accessLists) else { return false }
            return list == 0 || isVector(vector, words: Int(word(.accessLists, list - 1, 6)))
        }
    }

    private func isPorts(_ range: (low: Int, high: Int), words: Int) -> Bool {
        guard range.high > 0, self.range(range, fits: .accessPorts), halves(.accessPorts, range.low, 0).low == 0 else {
            return false
        }
        return (range.low..<range.low + range.high).allSatisfy { index in
            let (start, vector) = halves(.accessPorts, index, 0)
            return (index == range.low || halves(.accessPorts, index - 1, 0).low < start)
                && isVector(vector, words: words)
        }
    }
}
