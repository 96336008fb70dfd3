"""The modelled service over HTTP: the AWS Batch API, a control surface beside it, and the listener."""
