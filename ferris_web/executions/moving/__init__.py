"""Moving a platform with all that it holds: from one machine's files to the real stack, or back.

`archive`: the file in between. `rows`: the tables. `stores`: configuration and state, objects, operational
records. `standstill`: when a platform may be read or filled. `carry`: all of it in order, counted.

What is carried: accounts and tokens (as digests), the catalog with its secrets (encrypted, see `rows`), and the
history. What is not: the event log. Everything on it has been taken up before a platform may be exported, and a
new log begins empty, so that nothing of the history triggers anything again.
"""
