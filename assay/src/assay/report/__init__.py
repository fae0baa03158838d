"""One golden result, told in several ways: text, JSON, HTML, JUnit, GitHub annotations.

Belongs here: showing a `GoldenResult`. Does not belong here: anything that decides.
"""
