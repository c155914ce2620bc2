import Forwarding
import Wire

extension AppliancePlan {
    /// The MAC addresses by which the engine is reached on an interface.
    package func engineMACs(on interface: Int) -> [MACAddress] {
        let here = interfaces.indices.filter { $0 == interface || interfaces[$0].carrier == interface }
        return here.flatMap { [table.interfaces[$0].mac] + table.interfaces[$0].aliases }
    }

    /// The interface whose device has an interface's frames: itself, or the one that carries it.
    package func device(of interface: Int) -> Int { interfaces[interface].carrier ?? interface }
}

extension InterfacePlan {
    /// What it is, and its name, for people.
    var title: String { "\(carrier == nil ? "interface" : isTunnel ? "tunnel" : "circuit") \(name)" }
}
