"""The parts of `benchmarks.stream`: the world, the publisher, the clients, the rivals."""
