import Plan
import Reporting
import Wire

/// Service paths and indexes that the file leaves to the chains (RFC 8300).
extension FileReader {
    /// A place in the service path of a service.
    private struct Place {
        var service: RawService
        var path: Int
        var index: Int
    }

    /// Gives each tunnel with `nsh` and without `path` the place of its application in the chain of its services.
    ///
    /// The path is the chain's: that of the service, or one that follows from the names of its applications. The index begins with
    /// 255, and each application that packets pass takes one, whether it understands service headers or not.
    func resolveServicePaths(of file: inout TopologyFile) {
        for interface in file.interfaces.indices {
            guard let tunnel = file.interfaces[interface].tunnel, tunnel.encapsulation.hasNSH,
                tunnel.encapsulation.path == 0,
                let node = file.nodes.first(where: { node in
                    node.remote != nil
                        && node.legs.contains { $0.interface.value == file.interfaces[interface].name.value }
                })
            else { continue }
            guard let place = place(of: node, tunnel, file) else { continue }
            file.interfaces[interface].tunnel?.encapsulation.path = place.path
            file.interfaces[interface].tunnel?.encapsulation.index = place.index
        }
        // Whoever reads on has places that the engine takes.
        for interface in file.interfaces.indices
        where file.interfaces[interface].tunnel?.encapsulation.hasNSH == true
            && file.interfaces[interface].tunnel?.encapsulation.path == 0
        {
            file.interfaces[interface].tunnel?.encapsulation.path = NSHHeader.paths.lowerBound
        }
    }

    /// The only place of a node in service paths; reports none, and several.
    private func place(of node: RawNode, _ tunnel: RawTunnel, _ file: TopologyFile) -> Place? {
        let name = node.application ?? node.name.value
        let places = file.services.compactMap { place(of: name, in: $0, file) }
        guard let first = places.first else {
            diagnostics.error(
                tunnel.origin, "no service leads through \(quoted(name)), so nothing gives it a service path",
                hint: "write it: nsh: { path: 42, index: 255 }")
            return nil
        }
        if let other = places.first(where: { ($0.path, $0.index) != (first.path, first.index) }) {
            diagnostics.error(
                tunnel.origin,
                "\(quoted(name)) is at \(first.path)/\(first.index) of service \(quoted(first.service.name.value)), and at "
                    + "\(other.path)/\(other.index) of \(quoted(other.service.name.value))",
                hint: first.index == other.index
                    ? "give both services the same `path`, or write one here: nsh: { path: 42, index: \(first.index) }"
                    : "write the place here: nsh: { path: 42, index: \(first.index) }")
            return nil
        }
        guard NSHHeader.indexes.contains(first.index) else {
            diagnostics.error(
                tunnel.origin,
                "\(quoted(name)) is behind \(NSHHeader.indexes.upperBound - first.index) applications of service "
                    + "\(quoted(first.service.name.value)), and a service path has \(NSHHeader.indexes.count)",
                hint: "write a place here: nsh: { path: 42, index: 255 }")
            return nil
        }
        return first
    }

    /// The place of an application in the chain of a service; nil if it is not in it.
    private func place(of name: String, in service: RawService, _ file: TopologyFile) -> Place? {
        func isPassive(_ stop: RawStop) -> Bool {
            file.nodes.first { ($0.application ?? $0.name.value) == stop.value }?.passive ?? false
        }
        var passed = 0
        var found = service.distribute.contains { $0.value == name } ? 0 : nil as Int?
        for stop in service.sequence {
            if stop.value == name {
                found = passed
                break
            }
            if !isPassive(stop) { passed += 1 }
        }
        guard let found else { return nil }
        let chain = service.distribute.map(\.value) + [""] + service.sequence.map(\.value)
        let path = service.path?.value ?? Int(GeneratedNames.hash(chain) % UInt64(NSHHeader.paths.count)) + 1
        return Place(service: service, path: path, index: NSHHeader.indexes.upperBound - found)
    }
}
