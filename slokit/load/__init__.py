"""The Locust boundary: what to offer, and the process that offers and records it.

The command line's side, free of gevent: scenario (what load), texts and chinese (what is
sent), plan (all orders as one value), protocol (bytes of requests, worth of answers),
preflight (is the target there), launcher (start, watch and end the load process).

The load process: users (Locust's view of it), engine (sends on schedule), precise (wakes
on time), wire and transport (the hot-path client), answers (checks bodies), recorder
(keeps every sample). Only `users` imports Locust.
"""
