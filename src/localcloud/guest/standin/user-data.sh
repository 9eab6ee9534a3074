# shellcheck shell=sh
# $1 user data. Scripts run as root once, as cloud-init's scripts-user does; what else cloud-init takes is not simulated.
set -u
state=/run/cloud-init
part=/var/lib/cloud/instance/scripts/part-001
mkdir -p /var/lib/cloud/instance/scripts

finish() {
    printf '%s' "$1" >$state/errors
    rm -f $state/running
}

case $1 in
'#!'*)
    printf '%s' "$1" >$part
    chmod 700 $part
    printf '' >$state/errors
    $part >>/var/log/cloud-init-output.log 2>&1
    rc=$?
    tail -n 200 /var/log/cloud-init-output.log
    if [ $rc -eq 0 ]; then finish ''; else finish "user data: $part ended with exit status $rc"; fi
    ;;
*)
    finish "user data: the local guest runs scripts (#!), not $(printf '%s' "$1" | head -n 1 | cut -c 1-40)"
    ;;
esac
cat $state/errors
