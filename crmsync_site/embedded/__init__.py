"""PostgreSQL and Valkey started by crmsync itself, for machines that have none: real servers on private sockets.

Who does what: `addresses` says where they listen, `entry` is the hook of manage.py, `services` is what a process that
needs them calls, `keeper` is the process that owns them, `postgres` and `valkey` know one server each.
"""
