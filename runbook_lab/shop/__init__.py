"""The shop: orders and the services it calls, each a process that knows nothing of runbooks.

What goes wrong in it shows as it would anywhere: as timeouts, exceptions, growing memory. The switches that make it go wrong are
in `conditions`, which no request, metric or log line tells of.
"""
