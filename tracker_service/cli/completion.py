"""The verb `completion`, for shells."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes verbs and options with TAB in your shell.

    \b
    Example, in ~/.bashrc:
      eval "$(tracker completion bash)"
    In ~/.zshrc:
      eval "$(tracker completion zsh)"
    For fish:
      tracker completion fish > ~/.config/fish/completions/tracker.fish
    """
    kind = get_completion_class(shell)
    if kind:
        root = context.find_root().command
        click.echo(kind(root, {}, "tracker", "_TRACKER_COMPLETE").source())
