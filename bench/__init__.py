"""`make bench`: what roci costs, always beside a floor measured in the same run. Imported by no other package.

    python -m bench [--quick] [--only sdk|typed|import|gateway|routes|embeddings|library]

`sdk` is CPU time for each call and token, `typed` the same for answers in a type of the user's and for rounds with a
tool, beside other clients (`make clients` fetches them), `import` start-up time and memory, `gateway` what `roci serve`
adds to its engine on each route, `routes` the gateway's own CPU time there, `embeddings` the same for vectors, and
`library` a scan of the models on disk. Budgets are judged and shown, and never fail a test.
"""
