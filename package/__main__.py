"""`python -m odpiece`: the command line, where no command `odpiece` is on the path."""

from odpiece.cli.main import main

if __name__ == "__main__":
    main()
