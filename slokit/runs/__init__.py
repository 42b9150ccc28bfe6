"""The run store: one folder a run, holding manifest, samples, one-second series and verdict."""
