"""The Locust boundary: what to offer, and the process that offers and records it.

The command line's side, free of gevent: scenario (what load), amount (how much of it), kinds,
texts, supplies and chinese (what is sent), trace (a recorded load), offer and plan (all orders
as one value), schedule (when requests are due), protocol (bytes of requests, worth of answers),
preflight (is the target there), launcher (start, watch and end the load process).

The load process: users (Locust's view of it), engine (sends on schedule), precise (wakes
on time), wire and transport (the hot-path client), answers (checks bodies), recorder
(keeps every sample), stock (records users with Locust's own clients). Only `users` imports
Locust.
"""
