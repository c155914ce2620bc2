/// Why a difference of two small plans cannot be done to the whole.
struct Misfit: Error {
    let what: String

    init(_ what: String) { self.what = what }
}

/// What differs between two lists without repetitions, to be done to a third one that has more in it.
struct ListChange<Element: Hashable> {
    private let removed: Set<Element>
    private let added: [Element]

    /// The difference from one list to another.
    init(from old: [Element], to new: [Element]) {
        guard old != new else {
            (removed, added) = ([], [])
            return
        }
        let before = Set(old)
        let after = Set(new)
        removed = before.subtracting(after)
        added = new.filter { !before.contains($0) }
    }

    /// The list with the same difference: what is new comes last.
    ///
    /// - Throws: `Misfit` if the list does not have what goes, or has what is new: the two lists are no part of it.
    func done(to list: [Element], _ what: String) throws(Misfit) -> [Element] {
        var list = list
        if !removed.isEmpty {
            let count = list.count
            list.removeAll { removed.contains($0) }
            guard count - list.count == removed.count else { throw Misfit("\(what) lack some that go") }
        }
        guard !added.isEmpty else { return list }
        let present = Set(added)
        guard !list.contains(where: present.contains) else { throw Misfit("\(what) have some that come") }
        return list + added
    }
}
