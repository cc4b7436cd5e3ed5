"""The tests of ntt_loops; tests/README.md says how they are divided."""
