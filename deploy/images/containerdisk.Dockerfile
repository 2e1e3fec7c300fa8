# The image as a containerDisk, which KubeVirt boots and CDI imports: `docker build -f containerdisk.Dockerfile .` after
# `qemu-img convert -O qcow2 -c mkosi.output/hostler-guest.raw mkosi.output/hostler-guest.qcow2`.
FROM scratch
# 107 is the user of KubeVirt's machines.
ADD --chown=107:107 mkosi.output/hostler-guest.qcow2 /disk/
