"""The pages of golden runs, plans and the catalog: one file each, which loads nothing and sends nothing.

Belongs here: showing a `GoldenResult`, a `Plan` or what is known of the tables. Does not belong here: anything that decides.
"""
