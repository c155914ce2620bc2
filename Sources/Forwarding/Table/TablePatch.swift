/// How a table differs from the one before, where only few of its entries do: so nothing compares all of them.
public struct TablePatch: Sendable, Hashable {
    /// Entries in the place of others.
    public struct Span: Sendable, Hashable {
        /// The indices of the entries that go, in the table before; empty for entries that are added there.
        public var range: Range<Int>
        /// The entries in their place.
        public var entries: [Entry]

        /// Memberwise.
        public init(_ range: Range<Int>, _ entries: [Entry]) {
            (self.range, self.entries) = (range, entries)
        }
    }

    /// In ascending order; none overlaps with another.
    public var spans: [Span]
    /// How many entries the table before has.
    public var count: Int

    /// Memberwise.
    public init(spans: [Span], count: Int) {
        (self.spans, self.count) = (spans, count)
    }

    /// The entries with the spans in their places. An entry keeps the counters of one that goes if it has the same name and
    /// matches the same packets; other entries get counters that no entry has.
    ///
    /// - Parameter entries: Those of the table before; their counters may be others than there.
    /// - Returns: nil if they are not as many.
    public func patched(_ entries: [Entry]) -> [Entry]? {
        guard let numbered = numbered(for: entries) else { return nil }
        var patched = entries
        numbered.apply(to: &patched)
        return patched
    }

    /// Puts the spans in their places. Their entries keep the counters that they have in the patch.
    public func apply(to entries: inout [Entry]) {
        for span in spans.reversed() { entries.replaceSubrange(span.range, with: span.entries) }
    }

    /// The patch with the counters that its entries get in the place of others.
    ///
    /// - Parameter entries: Those of the table before; their counters may be others than there.
    /// - Returns: nil if they are not as many.
    public func numbered(for entries: [Entry]) -> TablePatch? {
        guard entries.count == count else { return nil }
        let fresh = spans.reduce(0) { $0 + $1.entries.count }
        // The lowest numbers that are free: there are at most as many used ones as entries.
        var used = [Bool](repeating: false, count: entries.count + fresh)
        for entry in entries where entry.counter < used.count { used[entry.counter] = true }
        var next = 0
        var numbered = self
        for place in spans.indices.reversed() {
            var known: [Entry: Int] = [:]
            for entry in entries[spans[place].range] { known[entry.match] = entry.counter }
            for index in spans[place].entries.indices {
                if let counter = known.removeValue(forKey: spans[place].entries[index].match) {
                    numbered.spans[place].entries[index].counter = counter
                    continue
                }
                while used[next] { next += 1 }
                used[next] = true
                numbered.spans[place].entries[index].counter = next
            }
        }
        return numbered
    }

    /// How many of the entries of the table before keep their counters.
    public func kept(of entries: [Entry]) -> Int { common(entries, \.match) }

    /// How many entries are in both tables.
    package func unchanged(of entries: [Entry]) -> Int { common(entries, \.uncounted) }

    private func common(_ entries: [Entry], _ part: (Entry) -> Entry) -> Int {
        spans.reduce(count) { sum, span in
            var known: [Entry: Int] = [:]
            for entry in entries[span.range] { known[part(entry), default: 0] += 1 }
            return span.entries.reduce(sum - span.range.count) { sum, entry in
                guard let left = known[part(entry)], left > 0 else { return sum }
                known[part(entry)] = left - 1
                return sum + 1
            }
        }
    }
}

extension Entry {
    /// The matched packets and the name of the entry, without its copies: an entry that sends to one more instance goes
    /// on counting.
    package var match: Entry {
        var entry = self
        entry.hops = []
        entry.rewriteSource = nil
        entry.counter = 0
        return entry
    }

    /// Without the place of its counters.
    package var uncounted: Entry {
        var entry = self
        entry.counter = 0
        return entry
    }
}

extension [Entry] {
    /// True if the other list is this one, without a look at the elements.
    package func isSame(as other: [Entry]) -> Bool {
        count == other.count
            && withUnsafeBufferPointer { own in other.withUnsafeBufferPointer { own.baseAddress == $0.baseAddress } }
    }
}
