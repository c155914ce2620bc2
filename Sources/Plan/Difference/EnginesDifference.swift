import Reporting

extension EnginesPlan {
    /// How these engines differ from others, in words. Which of two engines has a new interface is no difference.
    func differences(from other: EnginesPlan) -> [String] {
        var what: [String] = []
        if count != other.count { what.append("\(Plural.counted(count, "engine")) in place of \(other.count)") }
        if workers != other.workers {
            what.append("\(Plural.counted(workers, "worker")) each in place of \(other.workers)")
        }
        if sharing != other.sharing { what.append("shared by \(sharing.rawValue)") }
        if writing != other.writing { what.append("io: \(writing.rawValue)") }
        if coalesces != other.coalesces { what.append(coalesces ? "frames are coalesced" : "frames are not coalesced") }
        if latency != other.latency { what.append("latency: \(latency.rawValue)") }
        if sharing == .direction, what.isEmpty {
            let moved = zip(engineOfInterface, other.engineOfInterface).contains { $0 != $1 }
            if moved { what.append("another engine reads an interface") }
        }
        return what
    }
}
