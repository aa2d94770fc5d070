"""`python -m roci` is `roci`."""

from roci.cli.main import main

if __name__ == "__main__":
    main()
