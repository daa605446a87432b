"""The adapter for Exchange Web Services, and the only place that knows exchangelib.

exchangelib signs in, keeps sessions and tokens, and finds servers (autodiscover), with what it gets wrong repaired in
`repairs`. Requests are written (`soap`, `operations`) and answers read (`answers`) by code of our own: exchangelib takes
264 ms of CPU for an answer that takes 4 ms to read by hand, and one surprising item costs it the whole answer.
"""
