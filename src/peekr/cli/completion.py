"""`peekr completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from peekr.errors import PeekrError

__all__ = ["completion"]

_VARIABLE = "_PEEKR_COMPLETE"


@click.command(
    "completion",
    epilog="""\b
Examples:
  peekr completion bash >> ~/.bashrc
  peekr completion zsh >> ~/.zshrc
  peekr completion fish > ~/.config/fish/completions/peekr.fish""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and files."""
    found = get_completion_class(shell)
    if found is None:
        raise PeekrError(f"this version of click knows no completion for {shell}")
    from peekr.cli.group import group

    click.echo(found(group, {}, "peekr", _VARIABLE).source())
