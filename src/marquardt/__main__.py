"""`python -m marquardt` is the command `marquardt`."""

from marquardt.command.cli import app

if __name__ == "__main__":
    app(prog_name="marquardt")
