"""One module per family of operations; `registry.py` lists them all.

An operation gets the caller and its request element and returns the whole answer. It raises
`soap.Fault` when the request makes no sense at all; what concerns one item or folder of several
becomes an error in that one's response message.
"""
