import EventLoop
import Fabric
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Wire

/// The virtual machine that is a node's application: QEMU, in the node as any program, with a TAP of each leg as a descriptor.
extension NodeRuntime {
    /// What a machine is started with, which its process has taken over when it has been started.
    struct MachineStart {
        /// The words of its command.
        var words: [String]
        /// Its legs' TAPs, by the numbers of their descriptors there.
        var taps: [Int32: TapDevice]
    }

    /// The first number of a TAP's descriptor in the machine's process.
    private static let firstDescriptor: Int32 = 3

    /// The command of the machine, and the TAPs that it gets.
    func machineStart(_ machine: MachinePlan) throws(ApplianceError) -> MachineStart {
        var start = MachineStart(words: ["exec", MachineProgram.name] + fixedWords, taps: [:])
        start.words += ["-m", "\(machine.memory >> 20)M", "-smp", "\(machine.processors)"]
        let accelerator = machine.accelerator ?? MachineProgram.usualAccelerator
        start.words += ["-accel", accelerator.rawValue, "-cpu", accelerator == .kvm ? "host" : "max"]
        if let disk = machine.disk {
            let format = disk.hasSuffix(".qcow2") ? ",format=qcow2" : disk.hasSuffix(".raw") ? ",format=raw" : ""
            start.words += ["-drive", "file=\(Self.escaped(disk)),if=virtio,snapshot=on\(format)"]
        }
        if let kernel = machine.kernel { start.words += ["-kernel", kernel, "-append", commandLine(machine)] }
        if let initrd = machine.initrd { start.words += ["-initrd", initrd] }
        for (place, leg) in plan.legs.enumerated() {
            let made: (tap: TapDevice, mtu: Int)
            do throws(SystemError) {
                made = try MachineLinks.openTap(ofLeg: place, leg, in: namespace)
            } catch {
                throw ApplianceError(.failed, "\(self.place): the leg \(leg.device) of its machine: \(error)")
            }
            let number = Self.firstDescriptor + Int32(place)
            start.taps[number] = made.tap
            let offloads = leg.offload ? "" : Self.noOffloads.map { ",\($0)=off" }.joined()
            start.words += [
                "-netdev", "tap,id=leg\(place),fd=\(number),vhost=off",
                "-device",
                "virtio-net-pci,netdev=leg\(place),mac=\(leg.mac),host_mtu=\(made.mtu),romfile=\(offloads)",
            ]
        }
        return start
    }

    /// Nothing but what the file asks for: no display, no devices that are not named, no monitor. What the console shows is
    /// what the process prints.
    private var fixedWords: [String] {
        [
            "-name", DerivedNames.node(plan.name), "-nodefaults", "-no-user-config", "-display", "none", "-serial",
            "stdio",
            "-monitor", "none", "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            "-device", "virtio-rng-pci",
        ]
    }

    /// What frames larger than the MTU and partial checksums need in the machine's driver.
    private static let noOffloads = [
        "csum", "gso", "guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo", "host_tso4", "host_tso6",
        "host_ecn", "host_ufo", "mrg_rxbuf",
    ]

    /// The kernel's command line: the console, the address of the first leg, and the service addresses that it is to answer
    /// for. Whatever the file writes itself is not added.
    private func commandLine(_ machine: MachinePlan) -> String {
        var words = ["console=ttyS0"]
        let written = machine.append ?? ""
        if !written.contains("ip="),
            let own = plan.legs.first?.addresses.first(where: { $0.address.family == .ipv4 }),
            let leg = plan.legs.first
        {
            let gateway = plan.routes.first { $0.leg == 0 && $0.gateway.family == .ipv4 }?.gateway.description ?? ""
            let mask = IPAddress(ipv4: own.length == 0 ? 0 : UInt32.max << UInt32(32 - own.length))
            words.append("ip=\(own.address)::\(gateway):\(mask):\(DerivedNames.node(plan.name)):eth0:off")
            words.append("tapline.mac=\(leg.mac)")
        }
        if !plan.loopback.isEmpty {
            words.append("tapline.services=\(plan.loopback.map(\.description).joined(separator: ","))")
        }
        return (words + (written.isEmpty ? [] : [written])).joined(separator: " ")
    }

    /// A comma ends a value there, and two are one.
    private static func escaped(_ path: String) -> String {
        path.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }

    /// A command of the shell whose words are these.
    static func shellText(_ words: [String]) -> String {
        words.map { word in
            "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
        }.joined(separator: " ")
    }
}

/// The program that runs virtual machines.
package enum MachineProgram {
    /// Its name.
    package static let name = "qemu-system-x86_64"

    /// True if a node's shell finds it.
    package static var isInstalled: Bool {
        ProcessPlan.path.split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
    }

    /// True if this process may have machines run by the processor.
    package static var hasKVM: Bool {
        let device = open("/dev/kvm", O_RDWR | O_CLOEXEC)
        guard device >= 0 else { return false }
        close(device)
        return true
    }

    /// What runs machines that do not say it. Where the processor has no virtualisation of its own, some kernels have a /dev/kvm
    /// that runs few machines.
    package static var usualAccelerator: MachinePlan.Accelerator { hasKVM && hasVirtualisation ? .kvm : .tcg }

    /// True if the processor has instructions for virtual machines, or does not say.
    private static var hasVirtualisation: Bool {
        let text = String(decoding: readFile("/proc/cpuinfo", limit: 8_192) ?? [], as: UTF8.self)
        let lines = text.split(separator: "\n")
        guard let flags = lines.first(where: { $0.hasPrefix("flags") }) else { return true }
        return flags.split(separator: " ").contains { $0 == "vmx" || $0 == "svm" }
    }
}
