"""Measurements: what the framework costs against doing without it. `make bench` runs them and writes README.md.

Belongs here: programs that measure, and the plain SQL script they compare with. No test asserts a time.
"""
