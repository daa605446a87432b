"""What crmsync costs, measured on real processes: `manage.py bench NAME` (docs/benches.md).

The idea: a bench makes an installation of its own beside yours, in an empty database of the same servers, runs the real
worker against a mail server in another process, and quotes its figure beside that of plain exchangelib doing the like.
"""
