# shellcheck shell=sh
# $1 what (key, unkey, password), $2 user, $3 public key (its base64 for unkey) or password.
# Makes the user as cloud-init makes the default user of an image: own group, admin groups, sudo without a password.
set -eu
user=$2

if [ "$user" != root ]; then
    if ! id -u "$user" >/dev/null 2>&1; then
        if getent group "$user" >/dev/null; then own="--gid $user"; else own=--user-group; fi
        # shellcheck disable=SC2086 # two words on purpose
        useradd --create-home --shell /bin/bash $own "$user"
        for group in adm cdrom dip plugdev netdev sudo; do
            if getent group "$group" >/dev/null; then usermod --append --groups "$group" "$user"; fi
        done
    fi
    if [ -d /etc/sudoers.d ] && ! grep -qs "^$user ALL=" /etc/sudoers.d/90-cloud-init-users; then
        umask 0227
        printf '# User rules for %s\n%s ALL=(ALL) NOPASSWD:ALL\n' "$user" "$user" >>/etc/sudoers.d/90-cloud-init-users
    fi
fi

if [ "$1" = password ]; then
    printf '%s:%s\n' "$user" "$3" | chpasswd
    exit
fi

home=$(getent passwd "$user" | cut -d: -f6)
file=$home/.ssh/authorized_keys
if [ "$1" = unkey ]; then
    [ -f "$file" ] || exit 0
    grep -vF -- "$3" "$file" >"$file.new" || true
    cat "$file.new" >"$file"
    rm -f "$file.new"
    exit
fi

umask 077
mkdir -p "$home/.ssh"
grep -qsxF -- "$3" "$file" || printf '%s\n' "$3" >>"$file"
chown -R "$user:" "$home/.ssh"
