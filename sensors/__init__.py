"""Argo Events: the bus, what listens to forges and clocks, and the Sensor that starts runs."""
