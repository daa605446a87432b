"""Planning, pure: (a page of changes, what we know, rules) → Plan. No Django, no clock, no I/O (design §1).

`identity` says when two items are the same message, `facts` what planning is told, `decide` answers one message,
`plan` a whole page. A plan is data: it can be printed, counted, compared, stored, and shown as a dry run.
"""
