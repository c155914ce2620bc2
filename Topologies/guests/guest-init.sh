#!/bin/sh
# The first process of the virtual machine: it takes its address from the kernel's command line, and serves a page.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net; do
    # It may be a part of the kernel.
    [ ! -e /lib/$module.ko ] || $b insmod /lib/$module.ko
done
# ip=ADDRESS::GATEWAY:MASK:NAME:DEVICE:off, and tapline.services=ADDRESS,ADDRESS
for word in $($b cat /proc/cmdline); do
    case $word in
    ip=*)
        IFS=: read -r address _ gateway mask name device _ <<END
${word#ip=}
END
        $b hostname "$name"
        $b ip link set lo up
        $b ip link set "$device" up
        $b ip addr add "$address/$mask" dev "$device"
        [ -z "$gateway" ] || $b ip route add default via "$gateway"
        ;;
    tapline.services=*)
        for service in $(echo "${word#*=}" | $b tr , ' '); do $b ip addr add "$service" dev lo; done
        ;;
    esac
done
$b ip addr show eth0
echo "$name serves at $address"
while :; do $b httpd -f -p 80 -h /www; done
