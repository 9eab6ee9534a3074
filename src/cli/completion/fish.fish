# Completions of image-action for fish: image-action completion fish | source

function __image_action_complete
    set --local words (commandline --current-process --tokenize --cut-at-cursor)
    set --local last (commandline --current-token --cut-at-cursor)
    $words[1] __complete -- $words "$last" 2>/dev/null
end

complete --command image-action --no-files --keep-order --arguments '(__image_action_complete)'
