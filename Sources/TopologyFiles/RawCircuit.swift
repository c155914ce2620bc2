import Reporting
import Wire

/// What the file says of an interface whose packets are behind the headers of an encapsulation.
package struct RawCircuit: Sendable {
    /// The interface whose device has its frames.
    package var carrier: String
    package var encapsulation: Encapsulation
    /// The place of `encapsulation`.
    package var origin: SourceOrigin
    /// The device of the machine that carries it, if the carrier has one.
    package var device: Located<String>?
}

extension RawInterface {
    /// The device of the machine that has its frames: its own, or its carrier's.
    package var loan: Located<String>? { device ?? circuit?.device }
}

extension TopologyFile {
    /// The file with its circuits, and its tunnels behind these, behind all interfaces that have devices: only places before those
    /// need queues.
    package func placingCircuitsLast() -> TopologyFile {
        guard interfaces.contains(where: { $0.circuit != nil || $0.tunnel != nil }) else { return self }
        var file = self
        file.interfaces =
            interfaces.filter { $0.circuit == nil && $0.tunnel == nil } + interfaces.filter { $0.circuit != nil }
            + interfaces.filter { $0.tunnel != nil }
        return file
    }

    /// The circuits, each with the interface that stands for it.
    package var circuits: [(interface: RawInterface, circuit: RawCircuit)] {
        interfaces.compactMap { interface in interface.circuit.map { (interface, $0) } }
    }
}
