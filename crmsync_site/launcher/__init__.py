"""`make run`: everything of an installation on one machine, in one terminal, until Ctrl-C.

`programs` says what runs and in which order, `supervisor` keeps children running, `lock` allows one launcher per
`CRMSYNC_VAR`, `console` is what the terminal shows. The command itself is `management/commands/run.py`.
"""
