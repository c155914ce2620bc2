#!/bin/sh
# Makes the kernel and the first file system of the virtual machine, in ../../.build/guest, unless they are there.
#
# The kernel is that of Debian's package linux-image-cloud-amd64, the programs are busybox-static's. Both packages are downloaded and
# unpacked in that folder, and not installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../../.build/guest
[ -e "$folder/initrd" ] && [ -z "$(find "$here/guest-init.sh" "$here/guest.sh" -newer "$folder/initrd")" ] && exit 0
mkdir -p "$folder"
cd "$folder"
if ! [ -e kernel ]; then
    kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
    rm -rf unpacked
    mkdir unpacked
    (cd unpacked && apt-get -q download "$kernel" busybox-static >download.log 2>&1) || { cat unpacked/download.log >&2; exit 1; }
    for package in unpacked/*.deb; do dpkg-deb -x "$package" unpacked; done
    cp unpacked/boot/vmlinuz-* kernel.new
    mv kernel.new kernel
fi
rm -rf root
mkdir -p root/bin root/lib root/dev root/proc root/sys root/www root/tmp
cp unpacked/bin/busybox root/bin/busybox
ln -s busybox root/bin/sh
for module in net/core/failover drivers/virtio/virtio drivers/virtio/virtio_ring drivers/virtio/virtio_pci_modern_dev \
    drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci drivers/net/net_failover drivers/net/virtio_net; do
    cp unpacked/lib/modules/*/kernel/$module.ko root/lib/
done
echo 'hello from a machine' >root/www/index.html
# A page of 8 MiB, for segments larger than the MTU.
head -c 8388608 /dev/zero >root/www/large
cp "$here/guest-init.sh" root/init
chmod 755 root/init
(cd root && find . | bin/busybox cpio -o -H newc 2>/dev/null) | gzip -1 >initrd.new
mv initrd.new initrd
