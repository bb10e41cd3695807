"""The forward pass over networks of our own layout: steps of T new tokens against S rows of history."""
