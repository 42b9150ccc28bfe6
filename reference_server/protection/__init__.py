"""What keeps the server answering when it is asked too much or its engine fails.

Each rule is a small state machine that is told the time; `gate` and `admission` ask them and
turn a no into an answer.
"""
