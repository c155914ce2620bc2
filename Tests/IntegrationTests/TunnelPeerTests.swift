import Testing

/// Open vSwitch's userspace datapath, which knows nothing of Tapline, is the far end of tunnels: VXLAN, Geneve, and service headers over
/// VXLAN-GPE and over Ethernet. It matches the service path and index that the chain gives, and puts the next index on what it returns.
@Suite(.serialized) struct TunnelPeerTests {
    /// Runs Open vSwitch in the node. The bridge `outer` has the node's device and its address, `inner` the tunnels; behind each
    /// tunnel is a device where the node's kernel routes.
    static let site = """
        #!/bin/sh
        # usage: site.sh ENGINE: the engine's MAC address on the underlay.
        set -e
        home=$TAPLINE_DIR/ovs
        export OVS_RUNDIR=$home OVS_LOGDIR=$home OVS_DBDIR=$home OVS_SYSCONFDIR=$home
        mkdir -p "$home"
        ovsdb-tool create "$home/conf.db" /usr/share/openvswitch/vswitch.ovsschema
        ovsdb-server "$home/conf.db" "--remote=punix:$home/db.sock" --no-chdir -vconsole:off --log-file &
        until [ -S "$home/db.sock" ]; do sleep 0.05; done
        configure="ovs-vsctl --db=unix:$home/db.sock --timeout=20"
        $configure --no-wait init
        ovs-vswitchd "unix:$home/db.sock" --no-chdir -vconsole:off --log-file "--pidfile=$home/ovs-vswitchd.pid" &
        mac=$(ip -br link show dev "$TAPLINE_IN" | awk '{ print $3 }')
        $configure add-br outer -- set bridge outer datapath_type=netdev fail-mode=secure "other-config:hwaddr=$mac" \\
            -- add-port outer "$TAPLINE_IN" -- set Interface "$TAPLINE_IN" ofport_request=1 \\
            -- add-port outer bare -- set Interface bare type=tap ofport_request=2
        # What the switch reads from the device is not for the kernel.
        nft "add table netdev own; add chain netdev own taken { type filter hook ingress device $TAPLINE_IN priority 0; policy drop; }"
        ip address flush dev "$TAPLINE_IN"
        ip address add "$TAPLINE_IN_ADDRESS/24" dev outer
        ip link set outer up
        peer="options:remote_ip=$TAPLINE_IN_GATEWAY"
        $configure add-br inner -- set bridge inner datapath_type=netdev fail-mode=secure \\
            -- add-port inner vxlan -- set Interface vxlan type=vxlan "$peer" options:key=10 ofport_request=1 \\
            -- add-port inner geneve -- set Interface geneve type=geneve "$peer" options:key=11 ofport_request=2 \\
            -- add-port inner gpe -- set Interface gpe type=vxlan "$peer" options:key=7 options:dst_port=4790 \\
                options:exts=gpe options:packet_type=ptap ofport_request=3 \\
            -- add-port inner before -- set Interface before type=tap ofport_request=11 \\
            -- add-port inner behind -- set Interface behind type=tap ofport_request=12 \\
            -- add-port inner scrub -- set Interface scrub type=tap ofport_request=13
        echo 1 > /proc/sys/net/ipv4/ip_forward
        # NAME MAC NETWORK: what comes in goes to the engine's address there; with `to` on that device.
        number=0
        line() {
            number=$((number + 1))
            echo 0 > "/proc/sys/net/ipv4/conf/$1/rp_filter"
            echo 0 > "/proc/sys/net/ipv4/conf/$1/send_redirects"
            ip link set "$1" address "$2" mtu 1400 up
            ip address add "$3.7/24" dev "$1"
        }
        echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
        echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects
        line before 02:00:00:00:10:07 198.18.2
        line behind 02:00:00:00:11:07 198.18.3
        line scrub 02:00:00:00:12:07 198.18.5
        line bare 02:00:00:00:13:07 198.18.6
        way() {
            ip rule add iif "$1" lookup "$2"
            ip route add default via "$3" dev "$4" table "$2"
        }
        way before 101 198.18.3.1 behind
        way behind 102 198.18.2.1 before
        way scrub 103 198.18.5.1 scrub
        way bare 104 198.18.6.1 bare
        ovs-ofctl -O OpenFlow15 add-flows "unix:$home/inner.mgmt" - <<END
        in_port=1 actions=output:11
        in_port=11 actions=output:1
        in_port=2 actions=output:12
        in_port=12 actions=output:2
        in_port=3,packet_type=(1,0x894f),nsh_mdtype=1,nsh_np=3,nsh_spi=42,nsh_si=254 actions=decap(),output:13
        in_port=13 actions=encap(nsh(md_type=1)),set_field:42->nsh_spi,set_field:253->nsh_si,set_field:0x11223344->nsh_c1,output:3
        END
        ovs-ofctl -O OpenFlow15 add-flows "unix:$home/outer.mgmt" - <<END
        priority=2,in_port=1,dl_type=0x894f,nsh_mdtype=1,nsh_np=3,nsh_spi=42,nsh_si=253 actions=decap(),decap(),output:2
        in_port=2 actions=encap(nsh(md_type=1)),set_field:42->nsh_spi,set_field:252->nsh_si,encap(ethernet),set_field:$1->eth_dst,set_field:$mac->eth_src,output:1
        priority=1,in_port=1 actions=LOCAL
        in_port=LOCAL actions=output:1
        END
        echo the site is up
        wait
        """

    private static let topology = """
        name: judged
        interfaces:
          customers: { address: 192.0.2.1/24 }
          servers: { address: 198.18.4.1/24 }
          underlay: { address: 198.18.64.1/24 }
        customers:
          alice: { interface: customers }
        routers:
          site:
            interface: underlay
            address: 198.18.64.2
            run: "exec sh site.sh {{ interfaces.underlay.mac }}"
            files: [site.sh]
            ready: { log: the site is up }
        applications:
          firewall:
            remote:
              interface: underlay
              mtu: 1400
              in: { vxlan: { id: 10, peer: 198.18.64.2 }, gateway: 198.18.2.1/24, address: 198.18.2.7, mac: "02:00:00:00:10:07" }
              out: { geneve: { id: 11, peer: 198.18.64.2 }, gateway: 198.18.3.1/24, address: 198.18.3.7, mac: "02:00:00:00:11:07" }
          scrubber:
            remote: { interface: underlay, mtu: 1400, nsh: { id: 7, peer: 198.18.64.2 }, gateway: 198.18.5.1/24, address: 198.18.5.7, mac: "02:00:00:00:12:07" }
          marker:
            remote: { interface: underlay, mtu: 1400, nsh: {}, gateway: 198.18.6.1/24, address: 198.18.6.7, mac: "02:00:00:00:13:07" }
          web: { attach: servers, run: exec iperf3 -s, ready: { tcp: 5201 } }
        services:
          shop: { address: 203.0.113.80, ports: [tcp/5201, icmp], from: alice, path: 42, sequence: [firewall, scrubber, marker, web] }
        """

    @Test func openVSwitchEndsTunnels() throws {
        try Lab.with(Self.topology, files: ["site.sh": Self.site]) { lab in
            let status = try lab.status()
            let interfaces = try #require(status["interfaces"] as? [[String: Any]])
            #expect(
                interfaces.compactMap { $0["encapsulation"] as? String } == [
                    "vxlan 10 to 198.18.64.2", "geneve 11 to 198.18.64.2", "nsh 42/254 in vxlan 7 to 198.18.64.2",
                    "nsh 42/253",
                ])
            let ping = try lab.exec("alice", "fping -q -c 3 -p 200 -t 20000 203.0.113.80")
            #expect(ping.status == 0 && ping.output.contains("/0%"), "\(ping.output)")
            let large = try lab.exec("alice", "ping -n -c 1 -W 20 -s 4000 203.0.113.80")
            #expect(large.status == 0, "\(large.output)")
            for way in ["", "-R"] {
                let stream = try lab.exec("alice", "timeout 60 iperf3 -c 203.0.113.80 -C cubic -n 4M \(way)")
                #expect(stream.status == 0 && stream.output.contains("iperf Done"), "\(way): \(stream.output)")
            }
            let home = "\(lab.directory(of: "site"))/ovs"
            for bridge in ["inner", "outer"] {
                let flows = try lab.exec("site", "ovs-ofctl -O OpenFlow15 dump-flows unix:\(home)/\(bridge).mgmt")
                #expect(flows.status == 0 && !flows.output.contains("n_packets=0,"), "\(bridge): \(flows.output)")
            }
            // Senders learn the MTU of the tunnels; nothing else is lost.
            let drops = try #require(try lab.status()["drops"] as? [[String: Any]]).compactMap {
                $0["reason"] as? String
            }
            #expect(drops.allSatisfy { $0 == "too-big" }, "\(drops)")
        }
    }
}
