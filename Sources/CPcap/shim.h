#ifndef TAPLINE_CPCAP_H
#define TAPLINE_CPCAP_H
#include <pcap/pcap.h>
#endif
