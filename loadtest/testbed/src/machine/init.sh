# Process 1 of a machine: init FOLDER NAME READY
set -eu
folder=$1
for part in etc var; do
  mkdir -p "$folder/$part" "$folder/.$part"
  mount -t overlay "$part" -o "lowerdir=/$part,upperdir=$folder/$part,workdir=$folder/.$part" "/$part"
done
mkdir -p "$folder/kubelet" /var/lib/containerd /var/lib/kubelet
mount --bind "$folder/kubelet" /var/lib/kubelet
# As much room as a node has, whatever else is on this machine's disk.
truncate --size=16G "$folder/disk"
mkfs.ext4 -q -F "$folder/disk"
mount -o loop "$folder/disk" /var/lib/containerd
mount -t tmpfs run /run
mkdir -p /run/lock /run/netns
hostname "$2"
mount --make-rshared /
echo "$3"
# bash buries whatever else ends here.
while true; do
  sleep 3600 &
  wait || true
done
