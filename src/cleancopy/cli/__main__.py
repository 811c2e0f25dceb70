"""``python -m cleancopy.cli``."""

from cleancopy.cli import main

main()
