#!/bin/sh
# Makes the kernel and the first file system of the virtual machine, in ../../.build/guest, unless they are there.
#
# The kernel is that of Debian's package linux-image-cloud-amd64, or of Ubuntu's linux-image-virtual, the programs are busybox-static's.
# Both packages are downloaded and unpacked in that folder, and not installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../../.build/guest
[ -e "$folder/initrd" ] && [ -z "$(find "$here/guest-init.sh" "$here/guest.sh" -newer "$folder/initrd")" ] && exit 0
mkdir -p "$folder"
cd "$folder"
if ! [ -e kernel ]; then
    for name in linux-image-cloud-amd64 linux-image-virtual; do
        kernel=$(apt-cache depends "$name" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
        [ -z "$kernel" ] || break
    done
    [ -n "$kernel" ] || { echo "guest.sh: apt knows neither linux-image-cloud-amd64 nor linux-image-virtual" >&2; exit 1; }
    rm -rf unpacked
    mkdir unpacked
    (cd unpacked && apt-get -q download "$kernel" busybox-static >download.log 2>&1) || { cat unpacked/download.log >&2; exit 1; }
    for package in unpacked/*.deb; do dpkg-deb -x "$package" unpacked; done
    cp unpacked/boot/vmlinuz-* kernel.new
    mv kernel.new kernel
fi
rm -rf root
mkdir -p root/bin root/lib root/dev root/proc root/sys root/www root/tmp
for file in unpacked/bin/busybox unpacked/usr/bin/busybox; do
    if [ -e "$file" ]; then cp "$file" root/bin/busybox; fi
done
ln -s busybox root/bin/sh
for module in net/core/failover drivers/virtio/virtio drivers/virtio/virtio_ring drivers/virtio/virtio_pci_modern_dev \
    drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci drivers/net/net_failover drivers/net/virtio_net; do
    # It may be compressed, or a part of the kernel.
    for file in unpacked/lib/modules/*/kernel/"$module".ko unpacked/usr/lib/modules/*/kernel/"$module".ko; do
        to=root/lib/${module##*/}.ko
        if [ -e "$file" ]; then cp "$file" "$to"; fi
        if [ -e "$file.xz" ]; then xz -dc "$file.xz" >"$to"; fi
    done
done
echo 'hello from a machine' >root/www/index.html
# A page of 8 MiB, for segments larger than the MTU.
head -c 8388608 /dev/zero >root/www/large
cp "$here/guest-init.sh" root/init
chmod 755 root/init
(cd root && find . | bin/busybox cpio -o -H newc 2>/dev/null) | gzip -1 >initrd.new
mv initrd.new initrd
