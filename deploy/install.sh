#!/bin/bash
# Installs the Debian packages of deploy/packages.txt that are missing: deploy/install.sh GROUP…
# Groups: build, run, test, kafka, fuzz. Says nothing when all are there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Packages of the groups given.
wanted_packages() {
    awk -v groups=" $* " '
        /^# group:/ { wanted = index(groups, " " $3 " ") > 0; next }
        { sub(/#.*/, ""); if (wanted && NF) print $1 }' "$here/packages.txt"
}

main() {
    local -a wanted missing=() as_root=()
    local installed package
    if [ $# -eq 0 ]; then
        echo "Usage: deploy/install.sh GROUP… (build, run, test, kafka, fuzz)" >&2
        exit 2
    fi
    mapfile -t wanted < <(wanted_packages "$@")
    if ! command -v dpkg-query >/dev/null; then
        echo "install.sh: this is not Debian; see to it that these are there: ${wanted[*]}" >&2
        return
    fi
    installed=" $(dpkg-query -W -f='${Package}=${db:Status-Status} ' "${wanted[@]}" 2>/dev/null || true)"
    for package in "${wanted[@]}"; do
        [[ $installed == *" $package=installed "* ]] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "install.sh: packages are missing, and there is neither root nor sudo to install them. As root:" >&2
            echo "    apt-get install --no-install-recommends ${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "Installing ${missing[*]}" >&2
    local log
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get -q update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        echo "install.sh: installing failed (all of it: $log)" >&2
        exit 1
    fi
    rm -f "$log"
}

main "$@"
