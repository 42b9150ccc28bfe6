"""The Locust boundary: scenarios, texts, the wire client, the recorder and the launcher."""
