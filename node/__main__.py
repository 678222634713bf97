"""`python -m node`: the same command line as `chartseal`."""

from node.cli.main import main

main()
