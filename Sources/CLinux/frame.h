// Where the fields of an untagged frame are, counted from its Ethernet header: for programs of the kernel's packet filters.
#ifndef CLINUX_FRAME_H
#define CLINUX_FRAME_H

#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stddef.h>

#define ETHERNET_FIELD(field) offsetof(struct ethhdr, field)
#define IPV4_FIELD(field) (ETH_HLEN + offsetof(struct iphdr, field))
#define IPV6_FIELD(field) (ETH_HLEN + offsetof(struct ip6_hdr, field))
// The octet with the version and the header's length, which C has as bits: no field with an address.
#define IPV4_VERSION_AND_LENGTH ETH_HLEN
// That length, in units of four octets.
#define IPV4_LENGTH_MASK 0x0F

#endif
