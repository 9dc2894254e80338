"""The dashboard: a trace file as one HTML page that works without a network.

`collect` reads the records in one pass, `collection` makes every sum of them, `payload` and
`details` turn them into JSON, `report` writes the page around it. The page's own files are in
`page/`: `index.html` with marks for the policy, the style, the data and the script; the scripts are
put together in the order of `page/ORDER`.

The page reads `core` (plain JSON: what holds for the whole file) and, packed with gzip and base64,
`facts` (the calls as columns), `traces` (the list as columns) and `details-0`, `details-1`, ...
(blocks of whole traces, opened when somebody looks at one). Times in columns are milliseconds
since `core.buckets.start`, costs in them millionths of a US dollar, -1 is "not reported"; `m`,
`te`, `fe`, `en`, `va`, `us`, `na` are numbers in the tables of `core.dims`.
"""

from __future__ import annotations
