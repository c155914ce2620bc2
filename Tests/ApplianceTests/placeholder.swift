import Testing
import Appliance
