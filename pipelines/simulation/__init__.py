"""What Argo Events would do with a payload, read from the compiled documents: exactly the constructs that are compiled."""
