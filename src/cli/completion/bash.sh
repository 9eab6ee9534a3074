# shellcheck shell=bash
# Completions of image-action for bash: source <(image-action completion bash)

_image_action() {
    local word i value last prefix glued=
    local -a words=()
    # bash takes words apart at = and at :, the program does not.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $i -lt $COMP_CWORD || $word == [=:] ]] || word=$2
        if [[ ${#words[@]} -gt 0 && ($glued || $word == [=:]) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        [[ $word == [=:] ]] && glued=1 || glued=
    done
    # Only what stands behind the last break is replaced.
    last=${words[${#words[@]} - 1]}
    prefix=${last%"$2"}
    COMPREPLY=()
    while IFS=$'\t' read -r value _; do
        value=${value#"$prefix"}
        case $value in
            */ | *= | *:) ;;
            *) value="$(printf '%q' "$value") " ;;
        esac
        COMPREPLY+=("$value")
    done < <("${1/#\~\//$HOME/}" __complete -- "${words[@]}" 2>/dev/null)
}

complete -o nospace -F _image_action image-action
