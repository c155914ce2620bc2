/// The words of the language of pcap-filter that are no names.
///
/// Where libpcap is asked again and again for the place of a fault, names of hosts are replaced: each would be looked up by
/// DNS again, which may take seconds. A word that is missing here is taken for a name, so only the place can be wrong.
package enum FilterWords {
    /// `text` with every word that is a name replaced by one that is found without DNS.
    static func withoutNames(_ text: String) -> String {
        var result = ""
        var word = ""
        func end() {
            result += isName(word) ? "localhost" : word
            word = ""
        }
        for character in text {
            if character.isLetter || character.isNumber || ".:_-\\$".contains(character) {
                word.append(character)
            } else {
                end()
                result.append(character)
            }
        }
        end()
        return result
    }

    /// True if a word can only be the name of a host, a network or a service.
    package static func isName(_ word: String) -> Bool {
        guard word.contains(where: \.isLetter), !word.contains(":"), !word.contains("\\"), !word.contains("$") else {
            return false
        }
        if word.hasPrefix("0x") || ["tcp-", "icmp-", "icmp6-"].contains(where: word.hasPrefix) { return false }
        return !keywords.contains(word)
    }

    private static let keywords = Set(
        """
        dst src link ether ppp slip fddi tr wlan arp rarp ip sctp tcp udp icmp igmp igrp pim vrrp carp radio ip6 icmp6 ah esp \
        atalk aarp decnet lat sca moprc mopdl iso esis es-is isis is-is l1 l2 iih lsp snp csnp psnp clnp stp ipx netbeui \
        host net mask port portrange proto protochain gateway type subtype dir direction address1 address2 address3 address4 \
        addr1 addr2 addr3 addr4 ra ta less greater byte broadcast multicast and or not len length inbound outbound on ifname \
        rset ruleset rnr rulenum srnr subrulenum reason action vlan mpls pppoed pppoes geneve lane llc metac bcc oam oamf4 \
        oamf4ec oamf4sc sc ilmic vpi vci connectmsg metaconnect fisu lssu lsu msu hfisu hlssu hmsu sio opc dpc sls hsio hopc \
        hdpc hsls icmptype icmpcode icmp6type icmp6code tcpflags i s u
        """.split { " \\\n".contains($0) }.map(String.init))
}
