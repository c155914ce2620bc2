import Attachments
import Fabric
import Glibc
import Nodes
import Plan
import Reporting

/// What the machine must have for applications that are no commands of its own.
struct GuestNeeds {
    private let images: [NodePlan]
    private let machines: [NodePlan]

    init(_ plan: AppliancePlan) {
        images = plan.nodes.filter { $0.image != nil }
        machines = plan.nodes.filter { $0.machine != nil }
    }

    /// - Throws: `ApplianceError` for the first node that cannot start here.
    func require() throws(ApplianceError) {
        if let error = (faults + machineFaults).first { throw error }
    }

    /// The same for `doctor`: a finding for each node that cannot start here.
    var findings: [Doctor.Finding] { containerFindings + machineFindings }

    private var machineFindings: [Doctor.Finding] {
        let faults = machineFaults
        guard faults.isEmpty else {
            return faults.map { Doctor.Finding("machines", .fail, $0.message, hint: $0.hint) }
        }
        guard !machines.isEmpty else { return [] }
        let slow = machines.contains { $0.machine?.accelerator == nil } && MachineProgram.usualAccelerator == .tcg
        let what = "\(MachineProgram.name) runs the machines of \(Plural.nodes(machines.count))"
        return [
            slow
                ? Doctor.Finding(
                    "machines", .warn,
                    "\(what) by translation, many times slower: "
                        + (MachineProgram.hasKVM
                            ? "the processor has no virtualisation" : "/dev/kvm cannot be opened"),
                    hint: "give the machine such a processor and its user /dev/kvm, or write `accelerator: tcg`")
                : Doctor.Finding("machines", .ok, what)
        ]
    }

    private var machineFaults: [ApplianceError] {
        if machines.isEmpty { return [] }
        guard MachineProgram.isInstalled else {
            return machines.map { node in
                ApplianceError(
                    .machine, "\(node.place): \(MachineProgram.name) is not installed, and would run its machine",
                    hint: "install qemu-system-x86")
            }
        }
        let missing = machines.flatMap { node -> [ApplianceError] in
            let files = [node.machine?.disk, node.machine?.kernel, node.machine?.initrd].compactMap { $0 }
            return files.filter { access($0, R_OK) != 0 }.map { file in
                ApplianceError(
                    .machine, "\(node.place): \(file), which its machine starts from, is not there or cannot be read",
                    hint: "make it, or name another file")
            }
        }
        guard missing.isEmpty else { return missing }
        return machines.filter { $0.machine?.accelerator == .kvm && !MachineProgram.hasKVM }.map { node in
            ApplianceError(
                .machine, "\(node.place): its machine has `accelerator: kvm`, and /dev/kvm cannot be opened",
                hint: "load the module kvm, allow /dev/kvm for this user, or write `accelerator: tcg`")
        }
    }

    private var containerFindings: [Doctor.Finding] {
        let faults = faults
        guard faults.isEmpty else {
            return faults.map { Doctor.Finding("containers", .fail, $0.message, hint: $0.hint) }
        }
        guard !images.isEmpty, let engine = ContainerProgram(.podman) else { return [] }
        return [Doctor.Finding("containers", .ok, "\(engine.path) runs the images of \(Plural.nodes(images.count))")]
    }

    private var faults: [ApplianceError] {
        if images.isEmpty { return [] }
        if ContainerProgram(.podman) == nil {
            let other = "docker puts no container into a network namespace that exists"
            return images.map { node in
                ApplianceError(
                    .machine,
                    "\(node.place): podman is not installed, and would run its image \(node.image?.name ?? "")",
                    hint: "install podman" + (ContainerProgram(.docker) == nil ? "" : ": \(other)"))
            }
        }
        guard UserNamespace.isEntered else { return [] }
        return images.map { node in
            ApplianceError(
                .machine, "\(node.place): its image \(node.image?.name ?? "") needs root", hint: "run it with sudo")
        }
    }
}
