"""What a cluster's control plane does by itself: it brings what is to what should be."""
