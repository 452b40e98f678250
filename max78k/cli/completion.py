"""``max78k completion``: the shell completes verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the lines that make SHELL complete verbs and options.

    \b
    Examples:
      max78k completion bash >> ~/.bashrc
      max78k completion zsh >> ~/.zshrc          (after compinit)
      max78k completion fish > ~/.config/fish/completions/max78k.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(ctx.find_root().command, {}, "max78k", "_MAX78K_COMPLETE")
    # Not completion.source(): it looks for the shell on this machine first.
    click.echo(completion.source_template % completion.source_vars())
