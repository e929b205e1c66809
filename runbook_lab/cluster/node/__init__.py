"""The lab cluster's one node: it runs pods as real processes of this machine."""
