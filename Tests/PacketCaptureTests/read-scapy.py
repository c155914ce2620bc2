#!/usr/bin/python3
"""Reads a pcapng file as users of scapy do, and prints each packet's comment. Whatever scapy warns of is an error.

read-scapy.py FILE
"""

import logging
import sys
import warnings

# What scapy's own modules are built upon may be deprecated; that is no word about the file.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.all import load_layer, rdpcap
    load_layer("tls")


class Strict(logging.Handler):
    def emit(self, record):
        sys.exit(f"scapy warns: {record.getMessage()}")


for name in ("scapy", "scapy.runtime", "scapy.loading", "scapy.interactive"):
    logger = logging.getLogger(name)
    logger.handlers, logger.filters = [Strict(logging.WARNING)], []
    logger.propagate = False

for packet in rdpcap(sys.argv[1]):
    print((packet.comment or b"-").decode())
