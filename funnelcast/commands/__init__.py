"""One module a subcommand, each with a Typer `app`; imported only when run."""
