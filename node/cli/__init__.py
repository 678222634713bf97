"""The `chartseal` command."""
