#ifndef TAPLINE_CNETLINK_H
#define TAPLINE_CNETLINK_H
#include <errno.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/addr.h>
#include <netlink/attr.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_bridge.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/// The header of the message that an error callback of libnl gets the payload of: libnl hands over the payload where it lies.
static inline struct nlmsghdr *cnetlink_header(struct nlmsgerr *error) {
    return (struct nlmsghdr *)((char *)error - NLMSG_HDRLEN);
}

/// The kernel's own words about an NLMSG_ERROR or an NLMSG_DONE (NLMSGERR_ATTR_MSG of linux/netlink.h), zero-terminated;
/// NULL where there are none.
static inline const char *cnetlink_extended_message(struct nlmsghdr *header) {
    if (!(header->nlmsg_flags & NLM_F_ACK_TLVS)) return NULL;
    int before = (int)sizeof(int);
    if (header->nlmsg_type != NLMSG_DONE) {
        const struct nlmsgerr *error = (const struct nlmsgerr *)nlmsg_data(header);
        before = (int)sizeof *error;
        // A capped message quotes the header of the request alone.
        if (!(header->nlmsg_flags & NLM_F_CAPPED)) before += (int)(error->msg.nlmsg_len - NLMSG_HDRLEN);
    }
    if (nlmsg_datalen(header) < before) return NULL;
    struct nlattr *text = nlmsg_find_attr(header, before, NLMSGERR_ATTR_MSG);
    if (!text || nla_len(text) < 1) return NULL;
    const char *words = (const char *)nla_data(text);
    return words[nla_len(text) - 1] == 0 ? words : NULL;
}
#endif
