"""Several processes that train one network, started by torchrun (docs/distributed.md)."""
