"""The command line, ``python -m playground``: exit status 0, or 2 with one line on standard error."""

import sys


def main() -> int:
    """Run the command; loading torch takes a second, and an interrupt in that second is no trace either."""
    try:
        from playground import cli

        return cli.run(sys.argv[1:])
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
