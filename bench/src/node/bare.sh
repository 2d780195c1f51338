# The first process of a bare node, in namespaces of its own: containerd and kubelet with the files and flags of ours, at
# the same paths. FOLDER has what lies there, COMPONENTS the programs; the arguments are kubelet's command line.
set -eu

# Settings of the whole kernel that a kubelet makes must not become the host's.
mount -t tmpfs tmpfs /run
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=$(mktemp /run/setting.XXXXXX)
    echo "${setting#*=}" > "$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done

mount -t tmpfs tmpfs /opt
mkdir -p /opt/components /opt/cni/bin
mount --bind "$COMPONENTS" /opt/components
mount --bind "$FOLDER/cni" /opt/cni/bin
mount -t tmpfs tmpfs /var/lib
for name in containerd kubelet; do
    mkdir "/var/lib/$name"
    mount --bind "$FOLDER/$name" "/var/lib/$name"
done
mount --bind "$FOLDER/log" /var/log
mount -t overlay -o "lowerdir=/etc,upperdir=$FOLDER/etc,workdir=$FOLDER/work" overlay /etc
# As a node's: volumes that kubelet mounts show in containers.
mount --make-rshared /

$CONTAINERD &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.01; done
"$@" &
wait
