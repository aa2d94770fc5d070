"""`make bench`: what roci costs, always beside a floor measured in the same run. Imported by no other package.

    python -m bench [--quick] [--only sdk|import|gateway]

`sdk` is CPU time for each call and token, `imports` start-up time and memory, `gateway` what `roci serve` adds to its
engine. Budgets are judged and shown, and never fail a test.
"""
