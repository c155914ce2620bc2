import Forwarding
