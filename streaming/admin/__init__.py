"""Admin: what happened and what it cost, to look at; streams to stop, prices to edit, keys to make and revoke."""

from streaming.admin import allowances, conversations, keys, ledger, processes, streams  # noqa: F401  # they register
