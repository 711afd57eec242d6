# Process 1 of a machine: init FOLDER NAME READY
set -eu
folder=$1
for part in etc var; do
  mkdir -p "$folder/$part" "$folder/.$part"
  mount -t overlay "$part" -o "lowerdir=/$part,upperdir=$folder/$part,workdir=$folder/.$part" "/$part"
done
for part in containerd kubelet; do
  mkdir -p "$folder/$part" "/var/lib/$part"
  mount --bind "$folder/$part" "/var/lib/$part"
done
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
