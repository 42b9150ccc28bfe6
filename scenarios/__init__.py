"""One Locust file a scenario; each docstring is what `slokit scenarios` prints."""
