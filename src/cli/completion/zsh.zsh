#compdef image-action
# Completions of image-action for zsh: source <(image-action completion zsh) behind compinit,
# or this text as the file _image-action in a folder of $fpath.

_image_action() {
    local line value
    local -a whole open
    for line in "${(@f)$("${(Q)words[1]/#\~\//$HOME/}" __complete -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        value=${line%%$'\t'*}
        [[ -n $value ]] || continue
        if [[ $value == *[/=:] ]]; then
            open+=("$value")
        else
            whole+=("${value//:/\\:}:${line#*$'\t'}")
        fi
    done
    (( ${#open} )) && compadd -S '' -- $open
    (( ${#whole} )) && _describe -V 'image-action' whole
    (( ${#open} + ${#whole} ))
}

if [[ ${funcstack[1]} == _image-action ]]; then
    _image_action "$@"
else
    compdef _image_action image-action
fi
