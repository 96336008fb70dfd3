"""The AWS Batch service as a pure model: no clock, no network, no event loop."""
