"""The pages of golden runs and plans: one file each, which loads nothing and sends nothing.

Belongs here: showing a `GoldenResult` or a `Plan`. Does not belong here: anything that decides.
"""
