"""The command line `chartseal`."""
