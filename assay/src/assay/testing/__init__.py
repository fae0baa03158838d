"""What a project's tests use: golden cases as tests, a bench for one table, a project in a folder, pages in a browser.

`plugin.py` is a pytest plugin (`addopts = ["-p", "assay.testing.plugin"]`); the others are imported by name. Nothing
outside of tests imports this package, and pytest is no dependency of the distribution.
"""
