#!/usr/bin/env bash
# Shows a Markdown file as GitHub does, as pictures: scripts/dev/screenshot.sh FILE.md OUTPUT
#
# Writes OUTPUT-light.png, OUTPUT-dark.png (as wide as a pull request's conversation), OUTPUT-narrow-light.png and
# OUTPUT-narrow-dark.png (a phone). Needs chromium and npm.
set -euo pipefail

# shellcheck source=setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

[ $# = 2 ] || die "usage: $0 FILE.md OUTPUT"
input=$(realpath "$1") output=$(realpath -m "$2")
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
    die "chromium is missing: apt-get install -y --no-install-recommends chromium fonts-noto-color-emoji fonts-liberation"
need_node screenshot "$PROJECT/scripts/dev/screenshot/package.json"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for look in light dark; do
    for width in wide:860 narrow:375; do
        page=$work/$look-${width%%:*}.html
        NODE_PATH=$NODE_MODULES node "$PROJECT/scripts/dev/screenshot/render.cjs" "$input" "$look" "$page"
        name=$output-${width%%:*}-$look.png
        name=${name/-wide/}
        # The first run measures; a window as high as the page leaves no empty rest below it.
        height=$("$chromium" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --dump-dom \
            --window-size="${width##*:},600" "file://$page" 2>"$work/log" | sed -n 's/.*data-height="\([0-9]*\)".*/\1/p' | head -1)
        "$chromium" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=2 \
            --window-size="${width##*:},${height:-1200}" --screenshot="$name" "file://$page" >>"$work/log" 2>&1 ||
            die "chromium failed: $(tail -n 3 "$work/log")"
        say "$name"
    done
done
