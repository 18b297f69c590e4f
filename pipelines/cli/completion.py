"""`shipway completion SHELL`: the script by which a shell completes commands, flags and their values."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

from pipelines.cli.command import flags, positional

SCRIPTS: Mapping[str, str] = {
    "bash": """\
_shipway() {
  local IFS=$'\\n'
  COMPREPLY=($(shipway completion bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _shipway shipway
""",
    "zsh": """\
#compdef shipway
_shipway() {
  local -a found
  found=("${(@f)$(shipway completion zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n $found[1] ]]; then _describe shipway found; else _files; fi
}
compdef _shipway shipway
""",
    "fish": """\
function __shipway
  set -l found (shipway completion fish (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
  if set -q found[1]; printf '%s\\n' $found; else; __fish_complete_path (commandline -ct); end
end
complete -c shipway -f -a '(__shipway)'
""",
}
_BETWEEN = {"zsh": ":", "fish": "\t"}
"""What stands between a word and its description, in shells that show one."""


@flags
class CompletionOptions:
    """Which shell, and what is typed."""

    shell: str = positional("which shell's script", choices=list(SCRIPTS))
    words: tuple[str, ...] = positional("what is typed behind `shipway`: print how it can go on", nargs="...")


def run(options: CompletionOptions) -> int:
    """Print a script for a shell's own start file, by which it completes what is typed.

    examples:
      eval "$(shipway completion bash)"                     # in ~/.bashrc; zsh in ~/.zshrc, behind compinit
      shipway completion fish | source                      # in ~/.config/fish/config.fish
    """
    if not options.words:
        sys.stdout.write(SCRIPTS[options.shell])
        return 0
    for word, text in candidates(options.words):
        between = _BETWEEN.get(options.shell, "")
        sys.stdout.write(f"{word}{between}{text}\n" if between and text else f"{word}\n")
    return 0


def candidates(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield how the last of the words can go on, each with its description; nothing where a file is meant."""
    from pipelines.cli import main, step  # noqa: PLC0415 - it loads this one

    *before, begun = (word for word in words if word != "=")  # bash cuts words there
    command = next((word for word in before if word in main.COMMANDS), "")
    parser = main.command_parser(command, alone=False)
    parser = parser.commands.get(command, parser)
    behind = before[before.index(command) + 1 :] if command else []
    if command == "step" and behind:
        parser = step.parser(behind[0])
    flag = parser._option_string_actions.get(behind[-1]) if behind else None
    if flag and flag.nargs != 0:
        found = [(value, "") for value in flag.choices or ()]
    elif begun.startswith("-"):
        found = [(name, action.help or "") for action in parser._actions for name in action.option_strings]
    else:
        actions = [action for action in parser._actions if not action.option_strings]
        listed = {one.dest: one.help or "" for action in actions for one in getattr(action, "_choices_actions", ())}
        found = [(word, listed.get(word, "")) for action in actions for word in action.choices or ()]
    yield from ((word, text.partition(" (")[0]) for word, text in found if word.startswith(begun))
