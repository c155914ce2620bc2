import Testing
import Forwarding
