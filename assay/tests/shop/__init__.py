"""A tiny pipeline for tests of the framework: orders from a CSV file, priced, summed and printed."""
