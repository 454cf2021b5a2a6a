"""`python -m pointsman_console` is `pointsman`."""

from .main import main

main()
