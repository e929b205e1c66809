"""The fields of every served kind: read from a file, checked against, and told as OpenAPI."""
