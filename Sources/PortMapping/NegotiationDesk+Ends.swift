/// Mappings and claims that end.
extension NegotiationDesk {
    /// Takes claims away that ended, and mappings with them.
    ///
    /// - Returns: The mappings that the caller must take out of force.
    package mutating func expire(at now: UInt64) -> [Mapping] {
        release { $0.end <= now / 1000 }
    }

    /// Takes the claims of an instance away that is gone, or hands them to another one.
    ///
    /// - Parameter heir: The instance of the application that works on; nil: there is none.
    /// - Returns: The mappings that the caller must take out of force.
    package mutating func lose(node: String, heir: Asker? = nil) -> [Mapping] {
        if let heir {
            for (key, var mapping) in mappings where key.application == heir.application {
                guard let place = mapping.holders.firstIndex(where: { $0.node == node }),
                    !mapping.holders.contains(where: { $0.node == heir.node })
                else { continue }
                (mapping.holders[place].node, mapping.holders[place].address) = (heir.node, heir.address)
                mapping.holders[place].nonce = nil
                mappings[key] = mapping
            }
        }
        return release { $0.node == node }
    }

    /// Takes mappings away that are not in force.
    ///
    /// - Returns: What they were.
    package mutating func forget(_ keys: [Mapping.Key]) -> [Mapping] {
        keys.compactMap { mappings.removeValue(forKey: $0) }.sorted()
    }

    private mutating func release(_ ends: (Mapping.Holder) -> Bool) -> [Mapping] {
        var gone: [Mapping] = []
        for (key, mapping) in mappings where mapping.holders.contains(where: ends) {
            var left = mapping
            left.holders.removeAll(where: ends)
            if left.holders.isEmpty { gone.append(mapping) }
            mappings[key] = left.holders.isEmpty ? nil : left
        }
        return gone.sorted()
    }
}
