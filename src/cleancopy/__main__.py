"""``python -m cleancopy``, the same as the command ``cleancopy``."""

from cleancopy.cli import main

if __name__ == "__main__":
    main()
