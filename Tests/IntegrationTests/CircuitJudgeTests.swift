import Testing

/// Open vSwitch's userspace datapath, which knows nothing of Tapline, ends circuits: it takes tags and labels off what the engine
/// sends, and puts them on what a plain device sends.
@Suite(.serialized) struct CircuitJudgeTests {
    /// Runs Open vSwitch in the node between its device and a device `line` with the node's address. The flows are made from
    /// DEVICE 1 and `line` 2, and $mac.
    private static let end = """
        #!/bin/sh
        set -e
        home=$TAPLINE_DIR/ovs
        export OVS_RUNDIR=$home OVS_LOGDIR=$home OVS_DBDIR=$home OVS_SYSCONFDIR=$home
        mkdir -p "$home"
        ovsdb-tool create "$home/conf.db" /usr/share/openvswitch/vswitch.ovsschema
        ovsdb-server "$home/conf.db" "--remote=punix:$home/db.sock" --no-chdir -vconsole:off --log-file &
        until [ -S "$home/db.sock" ]; do sleep 0.05; done
        configure="ovs-vsctl --db=unix:$home/db.sock --timeout=20"
        $configure --no-wait init -- set Open_vSwitch . other_config:vlan-limit=2
        ovs-vswitchd "unix:$home/db.sock" --no-chdir -vconsole:off --log-file "--pidfile=$home/ovs-vswitchd.pid" &
        $configure add-br br0 -- set bridge br0 datapath_type=netdev fail-mode=secure \\
            -- add-port br0 "$TAPLINE_IN" -- set Interface "$TAPLINE_IN" ofport_request=1 \\
            -- add-port br0 line -- set Interface line type=tap ofport_request=2
        mac=$(ip -br link show dev "$TAPLINE_IN" | awk '{ print $3 }')
        ip link set line address "$mac" mtu "$TAPLINE_IN_MTU" up
        ip address add "$TAPLINE_IN_ADDRESS/32" dev line
        ip route add "$TAPLINE_IN_GATEWAY" dev line
        ip route add default via "$TAPLINE_IN_GATEWAY" dev line src "$TAPLINE_IN_ADDRESS"
        case $1 in
        vlan)
            flows="in_port=2 actions=push_vlan:0x8100,set_field:4196->vlan_vid,output:1
            in_port=1,dl_vlan=100 actions=pop_vlan,output:2" ;;
        qinq)
            flows="in_port=2 actions=push_vlan:0x8100,set_field:4296->vlan_vid,push_vlan:0x88a8,set_field:4196->vlan_vid,output:1
            table=0,in_port=1,dl_vlan=100 actions=pop_vlan,goto_table:1
            table=1,dl_vlan=200 actions=pop_vlan,output:2" ;;
        mpls)
            # There are no neighbours to ask behind a label.
            ip neighbour add "$TAPLINE_IN_GATEWAY" lladdr 02:00:00:00:00:fe dev line nud permanent
            flows="in_port=2,ip actions=push_mpls:0x8847,set_field:16001->mpls_label,set_field:01:00:5e:90:00:00->eth_dst,output:1
            in_port=1,mpls,mpls_label=16002,mpls_bos=1 actions=pop_mpls:0x0800,set_field:$mac->eth_dst,output:2" ;;
        esac
        echo "$flows" | ovs-ofctl -O OpenFlow13 add-flows "unix:$home/br0.mgmt" -
        echo the circuit is up
        wait
        """

    private static let topology = """
        name: judged
        interfaces:
          access:
            circuits:
              vlan: { encapsulation: vlan 100, address: 192.0.2.1/29 }
              qinq: { encapsulation: qinq 100.200, address: 192.0.2.9/29 }
              mpls: { encapsulation: { mpls: { in: 16001, out: 16002 } }, address: 192.0.2.17/29 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { circuit: vlan, ready: { log: the circuit is up }, run: exec sh end.sh vlan }
          bob: { circuit: qinq, ready: { log: the circuit is up }, run: exec sh end.sh qinq }
          carol: { circuit: mpls, ready: { log: the circuit is up }, run: exec sh end.sh mpls }
        applications:
          web: { attach: servers, run: exec iperf3 -s, ready: { tcp: 5201 } }
        services:
          shop: { address: 203.0.113.80, ports: [tcp/5201, icmp], from: [alice, bob, carol], sequence: web }
        """

    @Test func openVSwitchEndsCircuits() throws {
        try Lab.with(Self.topology, files: ["end.sh": Self.end]) { lab in
            for node in ["alice", "bob", "carol"] {
                let ping = try lab.exec(node, "fping -q -c 3 -p 200 -t 20000 203.0.113.80")
                #expect(ping.status == 0 && ping.output.contains("/0%"), "\(node): \(ping.output)")
                let gateway = try lab.exec(node, "ping -n -c 1 -W 20 $TAPLINE_IN_GATEWAY")
                #expect(gateway.status == 0, "\(node): \(gateway.output)")
                let large = try lab.exec(node, "ping -n -c 1 -W 20 -s 4000 203.0.113.80")
                #expect(large.status == 0, "\(node): \(large.output)")
                for way in ["", "-R"] {
                    let stream = try lab.exec(node, "timeout 60 iperf3 -c 203.0.113.80 -C cubic -n 8M \(way)")
                    #expect(
                        stream.status == 0 && stream.output.contains("iperf Done"), "\(node) \(way): \(stream.output)")
                }
            }
            // What a switch that knows neither the tag nor the label would not have taken.
            let status = try lab.status()
            let drops = try #require(status["drops"] as? [[String: Any]]).compactMap { $0["reason"] as? String }
            #expect(drops.isEmpty, "\(drops)")
        }
    }
}
