"""Beyond equal or not: do cases notice mistakes (`mutation/`), do they vary by chance (`determinism/`), and small cases
cut out of real data (`capture/`). Nothing here is needed to run a pipeline or its golden cases.
"""
